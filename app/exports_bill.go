package app

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"tollbook/app/export"
	"tollbook/app/export/erp"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/invoice"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/db"
)

var errNoBill = fault.New(fault.KindNotFound, "ap_invoice_absent", "A bill for accounts payable is made of an invoice that is booked, in the month its cycle ends in. None of this month is booked yet.")

// Bills are the invoices of a month that are booked, as accounts payable takes them: one
// file with its manifest, or all in an archive. Who bears a line is what was approved.
func (x *Exports) Bills(ctx context.Context, who Actor, month period.Month) (Bundle, error) {
	if err := x.access.Check(who, "export", "read"); err != nil {
		return Bundle{}, err
	}
	var files []erp.File
	err := x.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := invoicesOf(tx, month)
		if err != nil {
			return err
		}
		tenant, err := tx.TenantRow()
		if err != nil {
			return err
		}
		about := export.Manifest{CodeVersion: x.version, Tenant: tenant.Slug, TenantID: tx.Tenant.String(), AsOf: tx.Now, KnownAt: tx.Now, RunAt: tx.Now, RunBy: runBy(who)}
		if err := logged(tx, &about); err != nil {
			return err
		}
		for i := range rows {
			r := &rows[i]
			if !isBill(r, month) {
				continue
			}
			f, err := billFile(tx, r, tenant.Slug, about)
			if err != nil {
				return err
			}
			files = append(files, f)
		}
		return nil
	})
	switch {
	case err != nil:
		return Bundle{}, err
	case len(files) == 0:
		return Bundle{}, errNoBill
	case len(files) == 1:
		return Bundle{Name: files[0].Name, Type: "text/csv; charset=utf-8", Content: files[0].Content, Manifest: &files[0].Manifest}, nil
	}
	content, err := zipBills(files)
	return Bundle{Name: "bills-" + month.String() + ".zip", Type: "application/zip", Content: content}, err
}

// isBill tells whether an invoice is booked and its cycle ends in a month.
func isBill(r *db.InvoiceRow, month period.Month) bool {
	return r.AllocationID != nil && !r.Superseded && period.MonthOf(r.ServiceTo.UTC().AddDate(0, 0, -1)) == month
}

func zipBills(files []erp.File) ([]byte, error) {
	var parts []export.Part
	for i := range files {
		m := &files[i].Manifest
		about, err := m.JSON()
		if err != nil {
			return nil, err
		}
		parts = append(parts, export.Part{Name: m.File, At: m.RunAt, Content: files[i].Content}, export.Part{Name: m.File + export.Suffix, At: m.RunAt, Content: about})
	}
	return export.Bind(parts)
}

func billFile(tx *db.Tx, r *db.InvoiceRow, slug string, about export.Manifest) (erp.File, error) {
	if r.ResidualCents != 0 {
		return erp.File{}, fault.New(fault.KindConflict, "ap_unexplained", fmt.Sprintf(
			"Of invoice %s a part is unexplained and borne by nobody: take its entry back, explain the part or name who bears it, and book it again; then it is a bill.", r.Number))
	}
	_, lines, err := tx.Invoice(r.InvoiceID)
	if err != nil {
		return erp.File{}, err
	}
	shares, err := tx.Shares(*r.AllocationID, maxAllShares)
	if err != nil {
		return erp.File{}, err
	}
	trees, err := forestSince(tx, r.ServiceFrom)
	if err != nil {
		return erp.File{}, err
	}
	tree, err := trees.at(r.ServiceTo.Add(-time.Microsecond))
	if err != nil {
		return erp.File{}, err
	}
	now, err := trees.at(tx.Now)
	if err != nil {
		return erp.File{}, err
	}
	versions, err := tx.Books(maxBooksVersions)
	if err != nil {
		return erp.File{}, err
	}
	terms := termsOf(versions, tree, r.ServiceTo.AddDate(0, 0, -1))
	inv := r.Invoice()
	b := &erp.Bill{
		ExternalID: billID(slug, r), VendorID: vendorOf(inv.Issuer), VendorName: inv.Issuer, InvoiceNumber: inv.Number, InvoicedOn: inv.IssuedOn, DueOn: inv.DueOn, Currency: inv.Currency,
		Total: inv.Total, Entity: cmp.Or(terms.Payer, firstEntity(now)),
	}
	b.Lines = billLines(&inv, lines, shares, []*hierarchy.Tree{tree, now})
	about.Filters = []export.Pair{{Name: "invoice", Value: r.InvoiceID.String()}, {Name: "revision", Value: strconv.Itoa(r.Revision)}, {Name: "allocation", Value: r.AllocationID.String()}}
	if r.EntryID != nil {
		about.Entries = []export.Posted{{ID: r.EntryID.String(), Number: r.EntryNumber}}
	}
	return erp.EncodeBill(b, about)
}

// billLines has a line for each node and kind of capitalization, with its tax.
func billLines(inv *invoice.Invoice, lines []invoice.Line, shares []db.ShareRow, trees []*hierarchy.Tree) []erp.BillLine {
	at := map[string]int{}
	var list []erp.BillLine
	for i := range shares {
		s := &shares[i]
		key := s.NodeID.UUID() + s.Capitalization + s.Entity
		k, there := at[key]
		if !there {
			k = len(list)
			at[key] = k
			one := erp.BillLine{
				GLAccount: s.GLAccount, CostCenter: s.NodeCode, Capitalize: s.Capitalization == "capitalize", ServiceStart: inv.From, ServiceEnd: inv.To.AddDate(0, 0, -1),
				Description: fmt.Sprintf("Claude usage %s through %s, %s", dateText(inv.From), dateText(inv.To.AddDate(0, 0, -1)), s.NodeCode),
			}
			one.CostCenter, one.Project = centerOf(s.NodeID, s.NodeCode, trees)
			list = append(list, one)
		}
		if lines[s.InvoicePlace-1].Kind == invoice.Tax {
			list[k].Tax += money.Cents(s.Cents)
		} else {
			list[k].Amount += money.Cents(s.Cents)
		}
	}
	return slices.DeleteFunc(list, func(l erp.BillLine) bool { return l.Amount == 0 && l.Tax == 0 })
}

// centerOf is the cost center a node is or lies in, and the project it is, if it is one.
func centerOf(node id.Node, code string, trees []*hierarchy.Tree) (center, project string) {
	for _, tree := range trees {
		n, there := tree.Node(node)
		if !there {
			continue
		}
		if n.Kind != hierarchy.KindProject {
			return code, ""
		}
		for _, above := range tree.Above(node) {
			if v, _ := tree.Node(above); v.Kind == hierarchy.KindCostCenter {
				center = v.Code
			}
		}
		return center, code
	}
	return code, ""
}

// billID is a bill's external id: the invoice's number in what systems take, a digest of its
// workspace and number, which may lose something there, and its revision.
func billID(slug string, r *db.InvoiceRow) string {
	number := strings.Map(func(c rune) rune {
		if c < unicode.MaxASCII && (unicode.IsLetter(c) || unicode.IsDigit(c)) {
			return c
		}
		return '-'
	}, r.Number)
	number = number[:min(len(number), 2*maxIDPart)]
	return strings.Join([]string{"TB", slug[:min(len(slug), maxIDPart)], "bill", number, shortDigest(r.Workspace + "\x00" + r.Number), strconv.Itoa(r.Revision)}, "-")
}

// vendorOf is what a supplier is called by where no id of the ERP is known: its name in
// capitals.
func vendorOf(issuer string) string {
	return strings.Map(func(c rune) rune {
		if c < unicode.MaxASCII && (unicode.IsLetter(c) || unicode.IsDigit(c)) {
			return unicode.ToUpper(c)
		}
		return '-'
	}, issuer)
}
