package server

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"sallyport/internal/server/problem"
)

// handler builds the handler of the planes: our own middleware around echo,
// which does nothing but find the row. /mdm does not go through echo at all,
// whose 404, 405 and the like a phone must never see (architecture rule 10).
func (f *front) handler(planes plane) http.Handler {
	e := echo.New()
	// Echo believes any X-Forwarded-For by default. Nothing here asks echo for an
	// address, and should something do so one day, it gets the one that peer found.
	e.IPExtractor = echo.ExtractIPDirect()
	e.HTTPErrorHandler = func(err error, c echo.Context) { f.frameworkError(err, c) }
	var mdm http.Handler
	for _, row := range f.routes {
		if row.plane&planes == 0 {
			continue
		}
		h := f.edge(row)
		if row.pattern == mdmPath {
			mdm = h
			continue
		}
		e.Add(row.method, echoPattern(row.pattern), mount(h))
	}
	return f.middleware(f.dispatch(mdm, e))
}

// dispatch sends everything under /mdm past echo: PUT /mdm to its handler, all
// else there to a 400.
func (f *front) dispatch(mdm, rest http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case mdm == nil || !under(r.URL.Path, mdmPath):
			rest.ServeHTTP(w, r)
		case r.URL.Path == mdmPath && r.Method == http.MethodPut:
			mdm.ServeHTTP(w, r)
		default:
			f.fail(w, r, problem.ErrMethod)
		}
	})
}

// mount makes a plain handler of echo's kind. Echo 4.16 does not tell the
// request its path values, so that is done here.
func mount(h http.Handler) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		values := c.ParamValues()
		for i, name := range c.ParamNames() {
			value := values[i]
			if r.URL.RawPath != "" { // echo has matched the escaped form
				unescaped, err := url.PathUnescape(value)
				if err != nil {
					return problem.ErrNotFound
				}
				value = unescaped
			}
			r.SetPathValue(name, value)
		}
		h.ServeHTTP(c.Response(), r)
		return nil
	}
}

// echoPattern turns {name} into echo's :name.
func echoPattern(pattern string) string {
	return strings.NewReplacer("{", ":", "}", "").Replace(pattern)
}

// frameworkError gives echo's own errors our form: no such path, or not with
// this method.
func (f *front) frameworkError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	cause := err
	var framework *echo.HTTPError
	if errors.As(err, &framework) {
		cause = problem.ErrNotFound
		if framework.Code == http.StatusMethodNotAllowed {
			cause = problem.ErrMethod
		}
	}
	f.fail(c.Response(), c.Request(), cause)
}
