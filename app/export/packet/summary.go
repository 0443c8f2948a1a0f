package packet

import (
	"fmt"
	"strings"
	"time"

	"tollbook/app/export"
	"tollbook/app/money"
)

// maxPrinted bounds the rows of one table on paper; the workbook has all of them.
const maxPrinted = 150

// summary prints the one page a controller reads, then tables, then who decided, then how to
// verify. It is laid out twice: the first time tells how many pages there are.
func (f *Figures) summary(tables []table, contents []export.Manifest) (document []byte, pages int, err error) {
	for range 2 {
		p := newPaper(f, pages)
		p.first()
		p.page()
		p.y -= 6
		for i := range tables {
			if tables[i].printed {
				p.table(&tables[i])
			}
		}
		p.accounts()
		p.signatures()
		p.verification(contents)
		if document, pages, err = p.bytes(); err != nil {
			return nil, 0, err
		}
	}
	return document, pages, nil
}

// first is the page that stands alone.
func (p *paper) first() {
	f, s := p.f, p.f.settled
	p.y = 33
	p.face(faceText, "B", 22, black)
	p.at(left, p.y, monthName(f.Month))
	p.state(left+p.pdf.GetStringWidth(monthName(f.Month))+6, p.y)
	p.y += 2
	of := "the whole company"
	if !f.Scope.Whole() {
		of = f.Scope.Code + " " + f.Scope.Name + " and all below it"
	}
	p.paragraph(9, gray, fmt.Sprintf("Claude Code usage of %s, charged by cost center: %s, in US dollars. Books %s. As of %s.", f.Company, of, booksWords(f.BooksState), instant(f.At, f.Zone)))
	p.y += 4
	p.figures()
	p.movers()
	p.reasons()
	p.closing(s)
	p.changed()
}

// state is the word that says whether figures may still change.
func (p *paper) state(x, y float64) {
	p.face(faceText, "B", 9, over)
	c := over
	if p.f.State() == Final {
		p.face(faceText, "B", 9, black)
		c = black
	}
	word := string(p.f.State())
	p.pdf.SetDrawColor(c.rgb())
	p.pdf.Rect(x, y-5.2, p.pdf.GetStringWidth(word)+5, 6.4, "D")
	p.at(x+2.5, y-0.8, word)
}

// number is one of the figures at the head.
type numberBox struct{ label, value, note string }

func (p *paper) figures() {
	f, s := p.f, p.f.settled
	boxes := []numberBox{{"Actual", dollars(s.cents), count(f.Requests) + " requests"}}
	if f.Plan != nil {
		boxes = append(boxes, numberBox{"Plan to date", dollars(f.Plan.ToDate), fmt.Sprintf("version %d · %s", f.PlanVersion, beside(s.cents-f.Plan.ToDate, f.Plan.ToDate, "over", "under"))})
	} else {
		boxes = append(boxes, numberBox{"Plan", "none", "no plan is in force for the month"})
	}
	boxes = append(boxes, numberBox{monthName(f.Month.Previous()), dollars(s.priorCents), beside(s.cents-s.priorCents, s.priorCents, "more now", "less now")})
	if f.Suspense != nil {
		boxes = append(boxes, numberBox{"Suspense", dollars(f.Suspense.Display()), "charged, placed by no rule"})
	}
	if f.Books != nil {
		boxes = append(boxes, numberBox{"Accrued liability", dollars(f.Books.Accrued), "owed to the provider, by the journal"})
	}
	boxes = append(boxes, numberBox{"To be capitalized", dollars(f.Capitalized.Display()), percent(f.Capitalized.Display(), s.cents) + " of the actual"})
	const across, high = 3, 19.0
	width := wide / across
	for i, b := range boxes {
		x, y := left+float64(i%across)*width, p.y+float64(i/across)*high
		if i%across == 0 {
			p.stroke(y, rule)
		}
		p.face(faceText, "", 8, gray)
		p.at(x, y+5, b.label)
		p.face(faceText, "B", 15, black)
		p.at(x, y+11.5, b.value)
		p.face(faceText, "", 7.5, gray)
		p.at(x, y+15.8, clip(p, b.note, width-3))
	}
	p.y += float64((len(boxes)+across-1)/across) * high
	p.stroke(p.y, rule)
}

// beside is a difference in words: by how much, and which way.
func beside(difference, of money.Cents, above, below string) string {
	if difference == 0 {
		return "the same"
	}
	way := above
	if difference < 0 {
		way = below
	}
	text := dollars(abs(difference)) + " " + way
	if p := percent(abs(difference), of); p != "" {
		text += " (" + p + ")"
	}
	return text
}

const printedMovers = 8

// movers are the cost centers that changed the most.
func (p *paper) movers() {
	f, s := p.f, p.f.settled
	t := &table{
		title: "Top movers against " + monthName(f.Month.Previous()), printed: true,
		columns: []column{{"Code", text, 24}, {"Name", text, 50}, {"Actual", cents, 24}, {"Prior month", cents, 24}, {"Change", change, 24}, {"Variance to plan", change, 28}},
	}
	for _, i := range f.movers(s) {
		n := &f.Nodes[i]
		if n.Kind != kindCostCenter || s.node[i] == s.priorNode[i] {
			continue
		}
		row := []cell{n.Code, n.Name, s.node[i], s.priorNode[i], s.node[i] - s.priorNode[i], nil}
		if n.Plan != nil {
			row[5] = s.node[i] - n.Plan.ToDate
		}
		if t.rows = append(t.rows, row); len(t.rows) == printedMovers {
			break
		}
	}
	if len(t.rows) == 0 {
		t.note = "No cost center came to another amount than the month before."
	}
	p.table(t)
}

const kindCostCenter = "cost_center"

// reasons say why the month differs from the one before.
func (p *paper) reasons() {
	all := &p.f.Movement.Split.Total
	if len(p.f.Movement.Split.Parts) == 0 {
		return
	}
	p.heading("Why it moved")
	p.y++
	parts := []string{}
	for _, one := range []struct {
		name string
		sum  *money.Sum
	}{{"price", &all.Price}, {"volume", &all.Volume}, {"mix of models and token classes", &all.Mix}, {"server tools", &all.Tools}} {
		if one.sum.Sign() != 0 {
			parts = append(parts, signed(one.sum.Display())+" by "+one.name)
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "nothing")
	}
	p.paragraph(9, black, fmt.Sprintf("%s in all: %s. %s Each rounded from exact differences.", signed(all.Difference.Display()), strings.Join(parts, ", "), p.f.Movement.basis()))
}

// closing says how far the close has come, as far as this product can tell.
func (p *paper) closing(s *settled) {
	f := p.f
	p.heading("State of the close")
	p.y++
	p.fact("Books", word(booksWords(f.BooksState)), false)
	if f.Control != nil {
		check := "Agree: gateways flushed " + dollars(f.Control.Total.Display()) + " and as much is charged, to the pico-dollar"
		if f.Control.Difference.Sign() != 0 {
			check = "DISAGREE by " + f.Control.Difference.String() + " US dollars"
		}
		p.fact("Sums", check, false)
	}
	if f.Books != nil {
		debits, credits := f.Books.totals()
		p.fact("Journal", fmt.Sprintf("%s, debits %s, credits %s", counted(len(f.Books.Entries), "entry", "entries"), dollars(debits), dollars(credits)), false)
		if f.Books.Waiting > 0 {
			p.fact("", counted(f.Books.Waiting, "day has", "days have")+" charges that are not posted as they stand", false)
		}
	}
	if f.Provisional > 0 {
		p.fact("Provisional", count(f.Provisional)+" requests whose price may still change", false)
	} else {
		p.fact("Provisional", "None: every request has its price", false)
	}
	if f.Suspense != nil && f.Suspense.Sign() != 0 {
		p.fact("Suspense", dollars(f.Suspense.Display())+" that no rule could place, "+percent(f.Suspense.Display(), s.cents)+" of the actual", false)
	}
}

func counted(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(int64(n)) + " " + more
}

// changed says what is otherwise than in the revision before.
func (p *paper) changed() {
	if p.f.Changes == nil {
		return
	}
	t := &table{
		title: fmt.Sprintf("Changed since revision %d", p.f.Revision-1), printed: true,
		columns: []column{{"What", text, 94}, {"Before", text, 40}, {"Now", text, 40}},
	}
	for _, c := range p.f.Changes {
		t.rows = append(t.rows, []cell{c.What, c.Before, c.After})
	}
	p.table(t)
}

// accounts is the journal by entity and account.
func (p *paper) accounts() {
	if p.f.Books == nil {
		return
	}
	t := &table{
		title: "Journal by entity and account", note: "Every entry posted to the month; line by line in " + FileJournal + " and in the workbook.", printed: true,
		columns: []column{{"Entity", text, 44}, {"Account", text, 62}, {"Debits", cents, 34}, {"Credits", cents, 34}},
	}
	for _, a := range p.f.Books.accounts() {
		t.rows = append(t.rows, []cell{a.entity, word(string(a.name)), a.debit, a.credits})
	}
	debits, credits := p.f.Books.totals()
	t.total = []cell{"Total", nil, debits, credits}
	p.table(t)
}

// signatures is a page of its own: who decided what the figures rest on.
func (p *paper) signatures() {
	p.page()
	p.y -= 6
	p.heading("Sign-off")
	p.y++
	if len(p.f.Decisions) == 0 {
		p.paragraph(9, black, "No person’s decision is recorded that these figures rest on. Nobody signed this packet.")
		return
	}
	p.paragraph(8.5, gray, "Each person signed in with the issuer named here and decided for exactly this digest; Tollbook recorded it. The issuer approved nothing and knew no more than the digest.")
	for i := range p.f.Decisions {
		d := &p.f.Decisions[i]
		p.need(32)
		p.y += 4
		p.stroke(p.y, rule)
		p.y += 5
		p.face(faceText, "B", 9.5, black)
		who := d.Name
		if d.Role != "" {
			who += ", " + d.Role
		}
		if d.For != "" {
			who += " (for " + d.For + ")"
		}
		p.at(left, p.y, clip(p, who, wide*0.66))
		p.face(faceText, "", 8.5, gray)
		p.rightAt(right, p.y, minute(d.At))
		about := word(d.Verdict) + ": " + d.Kind
		if d.Number > 0 {
			about += fmt.Sprintf(", change %d", d.Number)
		}
		p.fact("Decision", about, false)
		p.fact("Issuer", d.Issuer, false)
		p.fact("Subject", d.Subject, false)
		p.fact("Digest", d.Digest, true)
	}
}

// verification is the last page: what proves that these are the files.
func (p *paper) verification(contents []export.Manifest) {
	f := p.f
	p.page()
	p.y -= 6
	p.heading("Verification")
	p.y++
	p.paragraph(8.5, gray, "This packet’s manifest names every file with its SHA-256 and is sealed by a record of the audit log. On any machine, offline:")
	p.y += 5.5
	p.need(10)
	p.face(faceFixed, "", 8.5, black)
	p.at(left, p.y, "tollbook verify PACKET.zip --log-keys KEYS.txt")
	p.y += 2
	p.paragraph(8.5, gray, "exits 0 where all of it is as it was sealed, and 1 with the first file that is not. KEYS.txt is the log’s public key as you got it another way.")
	p.y += 3
	for _, one := range f.provenance() {
		p.fact(one.Name, one.Value, false)
	}
	if f.Head != nil {
		p.fact("Signed head before", fmt.Sprintf("%s, %s records; the packet’s own record comes after it", f.Head.Origin, count(f.Head.Size)), false)
		p.fact("Its root", f.Head.Root, true)
	}
	p.heading("Files")
	p.y++
	for i := range contents {
		c := &contents[i]
		p.need(2 * line)
		p.fact(c.File, fmt.Sprintf("%s, %s bytes, %s", c.Report, count(int64(c.Bytes)), counted(c.Rows, "row", "rows")), false)
		p.fact("", c.SHA256, true)
	}
	p.y += 2
	p.paragraph(8, gray, "The digest of this document is in the manifest alone: a file cannot hold its own. Made "+f.At.UTC().Format(time.RFC3339)+" by Tollbook "+f.CodeVersion+".")
}
