package web

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/period"
	"tollbook/web/ui"
)

var (
	errNoProof     = fault.New(fault.KindNotFound, "proof_absent", "No signed head covers this record yet, so that there is no proof of it.")
	errNoLogKeys   = fault.New(fault.KindNotFound, "log_keys_absent", "No key has signed this log yet.")
	errExportsBusy = fault.New(fault.KindUnavailable, "exports_busy", "Several exports of logs are being made now. Try again in a minute.")
)

const (
	// maxLogExports bounds the exports that are made at once: each reads the database until
	// its last byte has left.
	maxLogExports = 3
	// exportStall ends an export nobody takes.
	exportStall = time.Minute
)

// The times an export may be asked for.
const (
	spanThisMonth = "this_month"
	spanLastMonth = "last_month"
	spanDays      = "days"
)

// logExportForm is what was filled in, and what was wrong with it.
type logExportForm struct {
	trouble
	Period, From, To string
	Usage            bool

	Periods []option
}

type logExportView struct {
	Frame   ui.Frame
	State   *logStateView
	Form    logExportForm
	Keys    []string
	Command string
	Tiles   string // where programs read the log
}

func (w *Web) askLogExport(v *visit) error {
	return w.logExportPage(v, http.StatusOK, logExportForm{Period: spanThisMonth, Usage: true})
}

func (w *Web) logExportPage(v *visit, status int, form logExportForm) error {
	page, err := w.areas.Log.Read(v.Request().Context(), v.who, app.LogQuery{Limit: 1})
	if err != nil {
		return err
	}
	month := period.MonthOf(w.cfg.Now())
	form.Periods = []option{
		{Value: spanThisMonth, Label: "This month, " + monthName(month)}, {Value: spanLastMonth, Label: "Last month, " + monthName(month.Previous())},
		{Value: spanDays, Label: "Other days"},
	}
	for i := range form.Periods {
		form.Periods[i].Selected = form.Periods[i].Value == form.Period
	}
	return render(v, status, logExportPage(&logExportView{
		Frame: v.frame("Export of the audit log"), State: logState(&page.State), Form: form, Keys: page.State.Keys, Tiles: v.tilesURL(),
		Command: fmt.Sprintf("tollbook verify %s --log-keys %s", exportName(v.slug, month.Start(), month.Next().Start()), keysName(v.slug)),
	}))
}

func exportName(slug string, from, to time.Time) string {
	return "tollbook-" + slug + "-log-" + ui.Date(from) + "-" + ui.Date(to) + ".zip"
}

func keysName(slug string) string { return "tollbook-" + slug + "-log-keys.txt" }

// span reads the time that is asked for.
func (f *logExportForm) span(now time.Time) (from, to time.Time, err error) {
	month := period.MonthOf(now)
	switch f.Period {
	case spanThisMonth:
		return month.Start(), month.Next().Start(), nil
	case spanLastMonth:
		return month.Previous().Start(), month.Start(), nil
	case spanDays:
		for _, bound := range []struct {
			name, text string
			into       *time.Time
		}{{"from", f.From, &from}, {"to", f.To, &to}} {
			if *bound.into, err = time.Parse(time.DateOnly, bound.text); err != nil {
				return from, to, fault.Invalid(bound.name, "day_syntax", "A day, UTC, is written as in 2026-11-03; %.40q is none.", bound.text)
			}
		}
		return from, to, nil
	}
	return from, to, fault.Invalid("period", "period_unknown", "Choose this month, last month or other days.")
}

func (w *Web) sendLogExport(v *visit) error {
	if !v.may("audit", "read") {
		return app.ErrNotAllowed
	}
	form := logExportForm{
		Period: v.FormValue("period"), From: strings.TrimSpace(v.FormValue("from")), To: strings.TrimSpace(v.FormValue("to")), Usage: v.FormValue("usage") == "yes",
	}
	out := &download{v: v}
	from, to, err := form.span(w.cfg.Now())
	if err == nil {
		out.name = exportName(v.slug, from, to)
		err = w.streamLog(v, app.LogExport{From: from, To: to, Usage: form.Usage, Version: w.cfg.Version}, out)
	}
	if err == nil {
		return nil
	}
	if out.begun {
		w.cfg.Log.LogAttrs(v.Request().Context(), slog.LevelError, "export of the log broke off", slog.String("tenant", v.who.Tenant.String()), slog.Any("error", err))
		panic(http.ErrAbortHandler) // whoever reads must see that it is not whole
	}
	if status, f := retold(err); status != 0 {
		form.trouble = trouble{f.Message, f.Field}
		return w.logExportPage(v, status, form)
	}
	return err
}

func (w *Web) streamLog(v *visit, ask app.LogExport, out *download) error {
	select {
	case w.exports <- struct{}{}:
		defer func() { <-w.exports }()
	default:
		return errExportsBusy
	}
	return w.areas.Log.Export(v.Request().Context(), v.who, ask, out)
}

// download sends a file's head with its first byte: until then a failure is a page.
type download struct {
	v     *visit
	name  string
	begun bool
}

// Write implements io.Writer.
func (d *download) Write(content []byte) (int, error) {
	response := d.v.Response()
	if !d.begun {
		response.Header().Set("Content-Type", "application/zip")
		response.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", d.name))
		response.WriteHeader(http.StatusOK)
		d.begun = true
	}
	_ = http.NewResponseController(response).SetWriteDeadline(time.Now().Add(exportStall)) // not every writer has deadlines
	return response.Write(content)
}

// sendLogKeys sends the keys that signed this log, a line each.
func (w *Web) sendLogKeys(v *visit) error {
	page, err := w.areas.Log.Read(v.Request().Context(), v.who, app.LogQuery{Limit: 1})
	if err != nil {
		return err
	}
	if len(page.State.Keys) == 0 {
		return errNoLogKeys
	}
	return v.file("text/plain; charset=utf-8", keysName(v.slug), []byte(strings.Join(page.State.Keys, "\n")+"\n"))
}
