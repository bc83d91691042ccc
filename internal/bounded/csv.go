package bounded

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"

	"sallyport/internal/refusal"
)

// CSVRow is one row under the header.
type CSVRow struct {
	Line   int // of its first field
	Fields []string
}

// CSV reads the rows of a CSV file (RFC 4180, UTF-8 with or without byte order mark,
// lines that end in LF or CRLF). The first row names the columns, which known lists
// for people; header takes or refuses it. A row of another length is refused with
// its line, by err as all that is wrong with the file.
func CSV(data []byte, err error, known string, header func(names []string) error) ([]CSVRow, error) {
	if bytes.HasPrefix(data, []byte{0xFF, 0xFE}) || bytes.HasPrefix(data, []byte{0xFE, 0xFF}) {
		return nil, refusal.New(err, "", "the file is UTF-16", `save it as "CSV UTF-8"`)
	}
	reader := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\uFEFF"))))
	reader.FieldsPerRecord = -1 // the refusal below tells the line and both lengths
	names, failure := reader.Read()
	if errors.Is(failure, io.EOF) {
		return nil, refusal.New(err, "line 1", "there is no header row", "begin the file with the names of the columns: "+known)
	}
	if failure != nil {
		return nil, csvRefusal(err, failure)
	}
	if failure := header(names); failure != nil {
		return nil, failure
	}
	var rows []CSVRow
	for {
		fields, failure := reader.Read()
		if errors.Is(failure, io.EOF) {
			return rows, nil
		}
		if failure != nil {
			return nil, csvRefusal(err, failure)
		}
		line, _ := reader.FieldPos(0)
		if len(fields) != len(names) {
			return nil, refusal.New(err, fmt.Sprintf("line %d", line),
				fmt.Sprintf("has %d fields, the header has %d", len(fields), len(names)), "quote values that hold a comma")
		}
		rows = append(rows, CSVRow{Line: line, Fields: fields})
	}
}

func csvRefusal(err, failure error) error {
	var parse *csv.ParseError
	if !errors.As(failure, &parse) {
		return fmt.Errorf("read CSV: %w", failure)
	}
	return refusal.New(err, fmt.Sprintf("line %d, column %d", parse.Line, parse.Column), "is not CSV: "+parse.Err.Error(), "see RFC 4180; a quote inside a value is written twice")
}
