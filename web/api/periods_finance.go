package api

import (
	"bytes"
	"encoding/csv"
	"fmt"

	"tollbook/app"
)

// Acknowledgment is the id that a finance system gave to one exported journal.
type Acknowledgment struct {
	ExternalID string `json:"external_id" doc:"The journal as it was exported."`
	ERPID      string `json:"erp_id" doc:"What the system calls it."`
	PostedOn   string `json:"posted_on" format:"date"`
}

// Acknowledgments are ids of journals of one month in one system.
type Acknowledgments struct {
	System          string           `json:"system" enum:"netsuite,workday,sap,oracle,quickbooks,xero,journal"`
	Corrects        bool             `json:"corrects,omitempty" doc:"Some of them are acknowledged already, otherwise."`
	Acknowledgments []Acknowledgment `json:"acknowledgments" doc:"1 to 1,000."`
}

// Actuals are what a general ledger says of a month.
type Actuals struct {
	System string `json:"system" enum:"netsuite,workday,sap,oracle,quickbooks,xero,journal"`
	Debit  string `json:"debit_total" format:"decimal" doc:"Control total of the report."`
	Credit string `json:"credit_total" format:"decimal"`
	File   string `json:"file" doc:"CSV of entity, account, period, debit, credit; currency, external_id, erp_id: a line for each account of an entity, or of each journal where it names them."`
}

// KeptFile is what became of it: nothing is kept in part.
type KeptFile struct {
	Change string `json:"change" doc:"The id of the change that keeps it."`
	Lines  int    `json:"lines"`
}

func (a *API) acknowledge(c *call, q PeriodPath, want Acknowledgments) (KeptFile, error) {
	var file bytes.Buffer
	out := csv.NewWriter(&file)
	rows := [][]string{app.AcknowledgeHeads()}
	for _, one := range want.Acknowledgments {
		rows = append(rows, []string{one.ExternalID, one.ERPID, one.PostedOn})
	}
	if err := out.WriteAll(rows); err != nil {
		return KeptFile{}, fmt.Errorf("write ids: %w", err)
	}
	ask := app.AcknowledgeAsk{System: want.System, Month: q.Period, File: file.Bytes(), Corrects: want.Corrects}
	return kept(a.areas.Exports.AcknowledgeOnce(c.Request().Context(), c.who, ask, c.Request().Header.Get("Idempotency-Key")))
}

func (a *API) importActuals(c *call, q PeriodPath, want Actuals) (KeptFile, error) {
	ask := app.ActualsAsk{System: want.System, Month: q.Period, File: []byte(want.File), Debit: want.Debit, Credit: want.Credit}
	return kept(a.areas.Exports.ImportActualsOnce(c.Request().Context(), c.who, ask, c.Request().Header.Get("Idempotency-Key")))
}

func kept(file app.KeptFile, err error) (KeptFile, error) {
	return KeptFile{Change: file.Change.String(), Lines: file.Lines}, err
}
