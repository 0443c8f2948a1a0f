package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"tollbook/app/export"
	"tollbook/app/money"
	"tollbook/web/ui"
)

// listed is an answer with rows. Whoever saves it must be able to say later what it is,
// so it goes out with a manifest in its headers (docs/adr/011), of exactly its bytes.
type listed interface {
	// listed says which members a row has, how many rows there are, and whether more follow.
	listed() (columns []string, rows int, more bool)
}

func (p Page[T]) listed() (columns []string, rows int, more bool) {
	return members(reflect.TypeFor[T]()), len(p.Data), p.NextCursor != nil
}

func (c Chargeback) listed() (columns []string, rows int, more bool) {
	return members(reflect.TypeFor[ChargebackRow]()), len(c.Rows), false
}

// members are the names a row's members have on the wire.
func members(row reflect.Type) []string {
	names := make([]string, 0, row.NumField())
	for field := range row.Fields() {
		if field.Anonymous {
			names = append(names, members(field.Type)...)
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// control states a total for the manifest, from the figures behind the rows.
func (c *call) control(name string, amount *money.Sum) {
	c.controls = append(c.controls, export.Pair{Name: name, Value: amount.String()})
}

// answerVersion moves when a member of an answer means something else.
const answerVersion = 1

// sendListed answers with the rows and, in headers, with their manifest.
func (c *call) sendListed(answer listed) error {
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	body = append(body, '\n')
	m, err := c.manifest(answer)
	if err != nil {
		return err
	}
	headers, err := m.Of(body).Headers()
	if err != nil {
		return err
	}
	for header, value := range headers {
		c.Response().Header().Set(header, value)
	}
	return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, body)
}

func (c *call) manifest(answer listed) (export.Manifest, error) {
	ctx := c.Request().Context()
	_, slug, err := c.api.areas.Tenants.Name(ctx, c.who)
	if err != nil {
		return export.Manifest{}, err
	}
	// Read after the rows: it reaches at least as far as they do.
	position, err := c.api.areas.Reports.Position(ctx, c.who)
	if err != nil {
		return export.Manifest{}, err
	}
	m := export.Manifest{
		Report: strings.TrimPrefix(c.Path(), "/"), ReportVersion: answerVersion, CodeVersion: c.api.cfg.Version, Tenant: slug, TenantID: c.who.Tenant.String(),
		Filters: export.Filters(c.QueryParams(), c.chosen), RunBy: export.RunBy{ID: c.who.ID(), Name: c.who.Name, Roles: ui.RoleWords(c.who.Grants)}, RunAt: c.api.cfg.Now(),
		ControlTotals: c.controls, AuditSequence: export.Sequence{Last: position.Last, Waiting: position.Waiting}, File: fileOf(c.Path()),
	}
	var more bool
	if m.Columns, m.Rows, more = answer.listed(); more || c.QueryParam("cursor") != "" {
		m.Part = export.OnePage
	}
	m.AsOf, m.KnownAt = m.RunAt, m.RunAt
	for name, at := range map[string]*time.Time{"as_of": &m.AsOf, "known_at": &m.KnownAt} {
		text := c.QueryParam(name)
		if text == "" {
			continue
		}
		given, err := ParseInstant(name, text)
		if err != nil {
			return m, err
		}
		*at = given.Time
	}
	return m, nil
}

// fileOf is what an answer would be called where it is saved.
func fileOf(path string) string {
	return strings.NewReplacer("/", "-", ":", "").Replace(strings.TrimPrefix(path, Prefix+"/")) + ".json"
}
