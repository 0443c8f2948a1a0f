package api

import (
	"fmt"
	"net/http"
	"reflect"
	"time"

	"tollbook/app"
	"tollbook/app/export"
	"tollbook/app/fault"
	"tollbook/app/money"
	"tollbook/app/period"
)

// Period is a month of the books.
type Period struct {
	Period   string          `json:"period"`
	State    string          `json:"state" enum:"open,closing,locked,closed"`
	Revision int             `json:"revision" doc:"1, and one more with each reopening."`
	Final    bool            `json:"final" doc:"Whether what is exported of it is no draft."`
	Entries  int64           `json:"entries" doc:"Account postings of the month, by entity and account."`
	Debits   string          `json:"debits" format:"decimal"`
	Credits  string          `json:"credits" format:"decimal"`
	Balances bool            `json:"balances"`
	Systems  []PeriodSystem  `json:"systems" doc:"Those that the company exports to."`
	Problems []PeriodProblem `json:"problems" doc:"What keeps it from being exported."`
	Steps    []PeriodStep    `json:"steps" doc:"Of its close, in order."`
	Blocks   []PeriodBlock   `json:"blocks" doc:"What keeps it from being locked, or once it is locked from being closed."`
}

// PeriodStep is one step of a month's close.
type PeriodStep struct {
	Step     string   `json:"step"`
	State    string   `json:"state" enum:"waiting,blocked,ready,prepared,done,waived,later"`
	Owner    string   `json:"owner"`
	Due      string   `json:"due" format:"date"`
	SHA256   *string  `json:"sha256" doc:"Of its figures, which signatures are of."`
	Prepared *Instant `json:"prepared_at" doc:"By a signature that counts."`
	Reviewed *Instant `json:"reviewed_at"`
}

// PeriodBlock is one thing in the way of locking or closing a month.
type PeriodBlock struct {
	Step    *string `json:"step"`
	Code    string  `json:"code" doc:"What it is about; of one day of the month: day: and its date."`
	Message string  `json:"message"`
}

// addClose adds how the close of the month stands, where the token may read that.
func addClose(p *Period, view *app.CloseView) {
	p.Revision = view.Standing.Revision
	for i := range view.Steps {
		s := &view.Steps[i]
		one := PeriodStep{Step: string(s.Step), State: string(s.State), Owner: s.Owner, Due: s.DueOn.Format(time.DateOnly), SHA256: textOrNil(s.Digest)}
		if s.Preparer != nil {
			one.Prepared = &Instant{s.Preparer.At}
		}
		if s.Checker != nil {
			one.Reviewed = &Instant{s.Checker.At}
		}
		p.Steps = append(p.Steps, one)
	}
	for _, b := range view.Blocks {
		p.Blocks = append(p.Blocks, PeriodBlock{Step: textOrNil(string(b.Step)), Code: b.Code, Message: b.Text})
	}
}

// PeriodSystem is how the month stands with a system.
type PeriodSystem struct {
	System         string         `json:"system"`
	MappingVersion int            `json:"mapping_version"`
	Ready          bool           `json:"ready" doc:"Nothing keeps the month from being exported."`
	Waiting        string         `json:"waiting" format:"decimal" doc:"Debits that no export holds yet."`
	Outdated       bool           `json:"outdated" doc:"Some export was made by an earlier mapping."`
	Exports        []PeriodExport `json:"exports" doc:"The newest first."`
}

// PeriodExport is a journal as it was exported.
type PeriodExport struct {
	ID             string  `json:"id"`
	Number         int64   `json:"number"`
	Entity         *string `json:"entity"`
	ExternalID     string  `json:"external_id"`
	State          string  `json:"state" enum:"draft,final,acknowledged,replaced"`
	Revision       int     `json:"revision"`
	MappingVersion int     `json:"mapping_version"`
	Entries        int     `json:"entries"`
	Lines          int     `json:"lines"`
	Total          string  `json:"total" format:"decimal"`
	SHA256         string  `json:"sha256" doc:"Over the SHA-256 of its files, in order."`
	RecordedAt     Instant `json:"recorded_at"`
}

// PeriodProblem is one reason why the month cannot be exported to a system yet.
type PeriodProblem struct {
	System  string  `json:"system"`
	Entity  *string `json:"entity"`
	Field   string  `json:"field"`
	Source  *string `json:"source" doc:"What lacks a rule: node, account, kind, entity, period."`
	Code    *string `json:"code" doc:"Of what lacks a rule."`
	Message string  `json:"message"`
}

// listed is one row: the month itself.
func (p Period) listed() (columns []string, rows int, more bool) {
	return members(reflect.TypeFor[Period]()), 1, false
}

// PeriodPath names a month.
type PeriodPath struct {
	Period period.Month `path:"period"`
}

func (a *API) showPeriod(c *call, q PeriodPath) (Period, error) {
	ctx := c.Request().Context()
	m, err := a.areas.Exports.Month(ctx, c.who, q.Period)
	if err != nil {
		return Period{}, err
	}
	t, err := a.areas.Books.TrialBalance(ctx, c.who, app.TrialQuery{Month: q.Period})
	if err != nil {
		return Period{}, err
	}
	out := Period{
		Period: q.Period.String(), State: string(m.State), Final: m.Final, Debits: t.Total.Debits.String(), Credits: t.Total.Credits.String(), Balances: t.Balances(),
		Systems: []PeriodSystem{}, Problems: []PeriodProblem{}, Revision: 1, Steps: []PeriodStep{}, Blocks: []PeriodBlock{},
	}
	view, err := a.areas.Closing.Month(ctx, c.who, q.Period)
	switch kind := fault.KindOf(err); {
	case err == nil:
		addClose(&out, &view)
	case kind == fault.KindNotFound, kind == fault.KindForbidden: // nothing is in its books, or it is not for this token
	default:
		return Period{}, err
	}
	for i := range t.Entities {
		for k := range t.Entities[i].Rows {
			out.Entries += t.Entities[i].Rows[k].Entries
		}
	}
	var debits, credits money.Sum
	debits.AddCents(t.Total.Debits)
	credits.AddCents(t.Total.Credits)
	c.control("debits_usd", &debits)
	c.control("credits_usd", &credits)
	for i := range m.Systems {
		s := &m.Systems[i]
		out.Systems = append(out.Systems, periodSystem(s))
		for k := range s.Problems {
			p := &s.Problems[k]
			out.Problems = append(out.Problems, PeriodProblem{System: s.System, Entity: textOrNil(p.Entity), Field: p.Field, Source: textOrNil(p.Source), Code: textOrNil(p.Code), Message: p.Message})
		}
	}
	return out, nil
}

func periodSystem(s *app.SystemMonth) PeriodSystem {
	out := PeriodSystem{System: s.System, MappingVersion: s.Version, Ready: len(s.Problems) == 0, Outdated: s.Outdated, Exports: []PeriodExport{}}
	var waiting money.Cents
	for _, f := range s.Fresh {
		waiting += f.Total
	}
	out.Waiting = waiting.String()
	for i := range s.Exports {
		e := &s.Exports[i]
		state := "final"
		switch {
		case e.Draft:
			state = "draft"
		case !e.SupersededBy.IsZero():
			state = "replaced"
		case e.Acknowledged == e.Documents:
			state = "acknowledged"
		}
		out.Exports = append(out.Exports, PeriodExport{
			ID: e.ID.String(), Number: e.Number, Entity: textOrNil(e.Entity), ExternalID: e.ExternalID, State: state, Revision: e.Revision, MappingVersion: e.MappingVersion, Entries: e.Entries,
			Lines: e.Lines, Total: e.Total.String(), SHA256: e.Digest, RecordedAt: Instant{e.RecordedAt},
		})
	}
	return out
}

// ExportPath names the files of a month for a system.
type ExportPath struct {
	Period   period.Month `path:"period"`
	System   string       `path:"system" doc:"netsuite, workday, sap, oracle, quickbooks, xero, journal, ap or focus."`
	Entity   string       `query:"entity" doc:"Only of this legal entity."`
	Manifest string       `query:"manifest" enum:"zip" doc:"zip sends one file with its manifest, too."`
	Format   string       `query:"format" enum:"csv,parquet" doc:"Of focus. Default: csv."`
}

var errFormats = fault.Invalid("format", "export_format_unknown", "FOCUS is sent as csv or parquet.")

func (a *API) exportPeriod(c *call, q ExportPath) error {
	ctx := c.Request().Context()
	switch q.System {
	case "ap":
		bundle, err := a.areas.Exports.Bills(ctx, c.who, q.Period)
		if err != nil {
			return err
		}
		if q.Manifest == "zip" && bundle.Manifest != nil {
			if bundle.Content, err = export.Archive(*bundle.Manifest, bundle.Content); err != nil {
				return err
			}
			bundle.Name, bundle.Type, bundle.Manifest = bundle.Name+".zip", "application/zip", nil
		}
		return c.sendFile(&bundle)
	case "focus":
		return a.exportFocus(c, q)
	}
	list, err := a.areas.Exports.Current(ctx, c.who, q.System, q.Period)
	if err != nil {
		return err
	}
	if q.Entity != "" {
		kept := list[:0]
		for i := range list {
			if list[i].Entity == q.Entity {
				kept = append(kept, list[i])
			}
		}
		list = kept
	}
	bundle, err := a.areas.Exports.Download(ctx, c.who, list, q.Manifest == "zip")
	if err != nil {
		return err
	}
	return c.sendFile(&bundle)
}

// sendFile answers with a file and, where it is one alone, its manifest in headers.
func (c *call) sendFile(b *app.Bundle) error {
	if b.Manifest != nil {
		headers, err := b.Manifest.Headers()
		if err != nil {
			return err
		}
		for header, value := range headers {
			c.Response().Header().Set(header, value)
		}
	}
	c.Response().Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", b.Name))
	return c.Blob(http.StatusOK, b.Type, b.Content)
}

// AccountMappingPayload is what a change of kind account_mapping proposes: what a system
// calls our accounts, nodes, entities and months.
type AccountMappingPayload struct {
	System  string `json:"system" enum:"netsuite,workday,sap,oracle,quickbooks,xero,journal"`
	InUse   bool   `json:"in_use" doc:"Whether the company exports to the system."`
	Rules   string `json:"rules" doc:"CSV of field, source, code, value, effective_from, effective_to."`
	Columns string `json:"columns" doc:"CSV of header, source, argument, required: the layout of a Workday EIB; empty for other systems."`
	Base    int    `json:"base_version" doc:"The version it follows; 0 for the first."`
}

// exportFocus answers with the charges of a month as FOCUS.
func (a *API) exportFocus(c *call, q ExportPath) error {
	if q.Format != "" && q.Format != "csv" && q.Format != "parquet" {
		return errFormats
	}
	bundle, err := a.areas.Exports.Focus(c.Request().Context(), c.who, q.Period, q.Format == "parquet")
	if err != nil {
		return err
	}
	if q.Manifest == "zip" {
		if bundle.Content, err = export.Archive(*bundle.Manifest, bundle.Content); err != nil {
			return err
		}
		bundle.Name, bundle.Type, bundle.Manifest = bundle.Name+".zip", "application/zip", nil
	}
	return c.sendFile(&bundle)
}
