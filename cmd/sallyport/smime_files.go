package main

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"sallyport/certs"
	"sallyport/internal/bounded"
	"sallyport/internal/refusal"
)

const (
	maxKeyList    = 100_000 // rows of a list
	maxKeyArchive = 1 << 30 // bytes of a zip file
	maxZipEntries = 110_000
	maxZipIndex   = 16 << 20 // bytes read to find out what a zip file holds
	maxZipRatio   = 20       // a PKCS#12 file is encrypted, and hardly gets smaller
)

// errKeyFile says that a file of an import cannot be taken from where it is.
var errKeyFile = errors.New("not taken")

// keyRow is one row of the list of an import.
type keyRow struct {
	line                         int
	mail, file, password, former string
}

// Columns of the list. The last may be left away.
var keyColumns = []string{"mail", "file", "password", "former"}

const keyColumnsRemedy = "the columns are mail, file and password, separated by commas, and former where an address of old is to be named"

// readKeyList reads the list that names a PKCS#12 file, its owner and its password
// in each row.
func readKeyList(data []byte) ([]keyRow, error) {
	at := map[string]int{}
	needed := keyColumns[:3]
	rows, err := bounded.CSV(data, errKeyFile, strings.Join(needed, ", "), func(names []string) error {
		for i, name := range names {
			name = strings.ToLower(strings.TrimSpace(name))
			if _, twice := at[name]; twice || !slices.Contains(keyColumns, name) {
				return refusal.New(errKeyFile, "line 1", fmt.Sprintf("column %.64q is unknown, or there twice", name), keyColumnsRemedy)
			}
			at[name] = i
		}
		if slices.ContainsFunc(needed, func(name string) bool { _, there := at[name]; return !there }) {
			return refusal.New(errKeyFile, "line 1", "a column is missing", keyColumnsRemedy)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(rows) > maxKeyList {
		return nil, refusal.New(errKeyFile, "", fmt.Sprintf("the list has %d rows", len(rows)), fmt.Sprintf("split it: %d at most", maxKeyList))
	}
	list := make([]keyRow, len(rows))
	for i, r := range rows {
		list[i] = keyRow{
			line: r.Line, mail: strings.TrimSpace(r.Fields[at["mail"]]), file: strings.TrimSpace(r.Fields[at["file"]]),
			password: r.Fields[at["password"]], // a space may belong to it
		}
		if n, asked := at["former"]; asked {
			list[i].former = strings.TrimSpace(r.Fields[n])
		}
	}
	return list, nil
}

// keySource is a directory or a zip file with PKCS#12 files.
type keySource struct {
	files fs.FS
	close func() error
}

// openKeySource opens what the names of a list are looked up in. Nothing outside of it
// can be reached: neither by a name, nor by a symbolic link.
func openKeySource(name string) (keySource, error) {
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return keySource{}, refusal.New(errKeyFile, name, "is not there", "name the directory or the zip file that holds the PKCS#12 files")
	}
	if err != nil {
		return keySource{}, err
	}
	if info.IsDir() {
		root, err := os.OpenRoot(name)
		if err != nil {
			return keySource{}, err
		}
		return keySource{root.FS(), root.Close}, nil
	}
	if info.Size() > maxKeyArchive {
		return keySource{}, refusal.New(errKeyFile, name, fmt.Sprintf("is too large: more than %d MB", maxKeyArchive>>20), "name a zip file or a directory of PKCS#12 files, and split one that is larger")
	}
	file, err := os.Open(name)
	if err != nil {
		return keySource{}, err
	}
	archive, err := readArchive(file, info.Size())
	if err != nil {
		_ = file.Close()
		return keySource{}, inFile(name, err)
	}
	return keySource{archive, file.Close}, nil
}

// readArchive reads the index of a zip file, and no more of it than a sound one needs.
func readArchive(file io.ReaderAt, size int64) (*zip.Reader, error) {
	index := &thrifty{file: file, left: maxZipIndex}
	archive, err := zip.NewReader(index, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, refusal.New(errKeyFile, "", "is neither a directory nor a zip file that can be read", "name the directory that holds the files, or pack it anew; a single PKCS#12 file is named by the list")
	}
	index.left = -1
	if len(archive.File) > maxZipEntries {
		return nil, refusal.New(errKeyFile, "", fmt.Sprintf("holds %d files", len(archive.File)), fmt.Sprintf("split it: %d at most", maxZipEntries))
	}
	return archive, nil
}

// thrifty gives out so many bytes; any number when left is negative.
type thrifty struct {
	file io.ReaderAt
	left int64
}

func (t *thrifty) ReadAt(p []byte, off int64) (int, error) {
	if t.left < 0 {
		return t.file.ReadAt(p, off)
	}
	if int64(len(p)) > t.left {
		return 0, bounded.ErrTooLarge
	}
	t.left -= int64(len(p))
	return t.file.ReadAt(p, off)
}

// read reads one file of a list.
func (s keySource) read(name string) ([]byte, *refusal.Error) {
	refuse := func(reason, remedy string) ([]byte, *refusal.Error) {
		return nil, refusal.New(errKeyFile, "file", reason, remedy)
	}
	if name == "" {
		return refuse("is missing", "name the PKCS#12 file in the column file")
	}
	if strings.Contains(name, `\`) || !fs.ValidPath(name) || path.Clean(name) != name {
		return refuse("is not a plain path below the directory or the top of the zip file", "write it with /, without .. and not from the root")
	}
	info, err := fs.Stat(s.files, name)
	switch {
	case err != nil:
		return refuse("is not there, or there twice in the zip file", "name one that is there, as it is spelled, by its path below the directory or the top of the zip file")
	case !info.Mode().IsRegular(): // to open a pipe would be to wait for it
		return refuse("is not a file", "name a PKCS#12 file")
	}
	if header, ok := info.Sys().(*zip.FileHeader); ok && header.UncompressedSize64/maxZipRatio > header.CompressedSize64 {
		return refuse("is packed as no PKCS#12 file can be", "pack the files anew")
	}
	if info.Size() > certs.MaxPKCS12 {
		return refuse(fmt.Sprintf("is larger than %d KB", certs.MaxPKCS12>>10), "name a PKCS#12 file with one key")
	}
	file, err := s.files.Open(name)
	if err != nil {
		return refuse("cannot be opened", "see that you may read it: ls -l")
	}
	defer file.Close()
	data, err := bounded.Read(file, certs.MaxPKCS12)
	if err != nil {
		return refuse("cannot be read to its end", "copy it, or pack the zip file, anew")
	}
	return data, nil
}
