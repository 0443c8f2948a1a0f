package gateway

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"tollbook/app/id"
)

// passUnmetered relays what the provider never bills: count_tokens and the list of
// models. It is authenticated, not recorded, and many at once are normal.
func (g *Gateway) passUnmetered(c echo.Context) error {
	x := &exchange{g: g, w: c.Response().Writer, r: c.Request(), event: id.NewEvent(g.cfg.Now())}
	if err := x.admit(c.Param("tenant")); err != nil {
		x.discardBody()
		g.refuse(c, err, x.event)
		return nil
	}
	if err := x.enterLookup(); err != nil {
		x.discardBody()
		g.refuse(c, err, x.event)
		return nil
	}
	defer x.leave()
	path, ok := lookupPath(c)
	if !ok {
		x.discardBody()
		g.refuse(c, errPath, x.event)
		return nil
	}
	target := *x.tenant.Upstream
	target.Path += path
	target.RawQuery = x.r.URL.RawQuery
	request := &http.Request{
		Method: x.r.Method, URL: &target, Host: target.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: upstreamHeaders(x.r.Header, x.tenant.Credential),
	}
	ctx, cancel := context.WithTimeout(x.r.Context(), lookupWithin)
	defer cancel()
	if x.r.Method != http.MethodPost {
		ctx = traced(ctx, 0, nil)
	} else {
		taken, err := x.takeBody()
		if err != nil {
			g.refuse(c, err, x.event)
			return nil
		}
		x.body = taken
		request.Body, request.ContentLength = taken.reader(), int64(len(taken.bytes()))
		ctx = traced(ctx, len(taken.bytes()), x.sent)
	}
	response, err := g.upstream.RoundTrip(request.WithContext(ctx))
	if err != nil {
		g.refuse(c, errUpstream.Because(err), x.event)
		return nil
	}
	defer response.Body.Close()
	x.passed()
	// Answers are small: one that a client has not read by then, nobody reads.
	connection := http.NewResponseController(x.w)
	_ = connection.SetWriteDeadline(time.Now().Add(g.cfg.ReadWithin))
	defer func() { _ = connection.SetWriteDeadline(time.Time{}) }()
	clientHeaders(x.w.Header(), response.Header)
	x.w.Header().Set("X-Tollbook-Request-Id", x.event.String())
	x.w.WriteHeader(response.StatusCode)
	if _, err := io.Copy(x.w, response.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// lookupPath is where a lookup goes at the provider. It is made of the route and not of
// the path that came: behind encoded slashes and dots that may lead anywhere the
// company's credential reaches.
func lookupPath(c echo.Context) (string, bool) {
	model := c.Param("model")
	path := strings.TrimPrefix(c.Path(), "/gw/:tenant")
	if list, one := strings.CutSuffix(path, ":model"); one {
		return list + model, modelName(model)
	}
	return path, true
}

// modelName tells what may be the name of a model from what a path could hide in.
func modelName(name string) bool {
	const others = "-_.:@"
	for _, c := range []byte(name) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return len(name) <= maxModelName && strings.Trim(name, ".") != ""
}

// maxModelName is as long as a model's name may be in a request, in bytes.
const maxModelName = 254

// lookupWithin bounds a lookup, its body included: the provider takes a second or two.
const lookupWithin = 5 * time.Minute

// probe answers Claude Code's start-up check, which carries no credential.
func (g *Gateway) probe(c echo.Context) error { return c.NoContent(http.StatusOK) }

// notMetered refuses what the provider would bill without our meter seeing it.
func (g *Gateway) notMetered(c echo.Context) error {
	discard(c.Response().Writer, c.Request())
	g.refuse(c, errNotMetered, id.NewEvent(g.cfg.Now()))
	return nil
}

func (g *Gateway) unknownPath(c echo.Context) error {
	discard(c.Response().Writer, c.Request())
	if c.Request().Method == http.MethodPost && strings.HasSuffix(c.Request().URL.Path, "/v1/messages") {
		g.refuse(c, errBaseURL, id.NewEvent(g.cfg.Now()))
		return nil
	}
	g.refuse(c, errPath, id.NewEvent(g.cfg.Now()))
	return nil
}
