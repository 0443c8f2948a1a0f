package packet

import (
	"fmt"
	"time"

	"tollbook/app/export"
	"tollbook/app/money"
)

// maxPrinted bounds the rows of one table on paper; the workbook has all of them.
const maxPrinted = 150

// summary prints the one page a controller reads, then tables, then who decided, then how to
// verify. It is laid out twice: the first time tells how many pages there are.
func (f *Figures) summary(tables []table, contents []export.Manifest, missing []LeftOut) (document []byte, pages int, err error) {
	for range 2 {
		p := newPaper(f, pages)
		p.first()
		p.page()
		for i := range tables {
			if tables[i].printed {
				p.table(&tables[i])
			}
		}
		for _, t := range []*table{borne(f), itemClasses(f), openDisputes(f), f.changed()} {
			if t != nil {
				p.table(t)
			}
		}
		p.accounts()
		p.comments()
		p.signatures()
		p.verification(contents, missing)
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
	p.corrects()
	p.y += 4
	p.figures()
	p.changed()
	if f.Corrects != nil { // what changed comes first: the rest may go on behind
		p.closing(s)
		p.bridges()
		p.movers()
		return
	}
	p.bridges()
	p.movers()
	p.closing(s)
}

// state is the word that says whether figures may still change.
func (p *paper) state(x, y float64) {
	p.face(faceText, "B", 9, over)
	c := over
	if p.f.State() == Final {
		p.face(faceText, "B", 9, black)
		c = black
	}
	word := p.f.Mark()
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
		p.at(x, y+11.5, p.fit("B", 15, black, b.value, width-3))
		p.at(x, y+15.8, p.fit("", 7.5, gray, b.note, width-3))
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

const (
	printedMovers = 5
	fewestMovers  = 2
	closingHigh   = 42.0 // of the state of the close, at most
)

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
	for p.f.Corrects == nil && len(t.rows) > fewestMovers && p.y+p.tableHigh(t)+closingHigh > bottom { // one page stands alone
		t.rows = t.rows[:len(t.rows)-1]
	}
	p.table(t)
}

const kindCostCenter = "cost_center"

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

// corrects says, first of all, what a corrected packet takes the place of.
func (p *paper) corrects() {
	c := p.f.Corrects
	if c == nil {
		return
	}
	p.y += 2
	p.face(faceText, "B", 9.5, over)
	p.y += 4
	p.at(left, p.y, fmt.Sprintf("CORRECTED: this takes the place of revision %d, FINAL, which was made before the month was reopened.", c.Revision))
	p.fact("Its packet", c.Packet, false)
	p.fact("Its manifest", c.Manifest, true)
	p.y++
}

// The first page lists changes of the packet as a whole, of tables and of nodes, so many of each;
// a corrected packet more, for they are what it is read for. All of them are in a table behind.
const (
	firstChanges     = 2
	correctedChanges = 5
)

// changes are what is otherwise than in the revision before, or in the one that is corrected.
func (f *Figures) changes(each int) *table {
	if f.Changes == nil {
		return nil
	}
	t := &table{
		title: fmt.Sprintf("Changed since revision %d", f.since()), printed: true,
		columns: []column{{"What", text, 82}, {"Before", text, 44}, {"Now", text, 48}},
	}
	seen := map[string]int{}
	for _, c := range f.Changes {
		most := each
		if c.Of == "" {
			most = 2 * each
		}
		if seen[c.Of]++; seen[c.Of] > most {
			continue
		}
		t.rows = append(t.rows, []cell{c.What, c.Before, c.After})
	}
	if len(t.rows) < len(f.Changes) {
		t.note = fmt.Sprintf("%d of %d; all of them are listed behind the tables.", len(t.rows), len(f.Changes))
	}
	return t
}

// since is the revision that changes are told against.
func (f *Figures) since() int {
	if f.Corrects != nil {
		return f.Corrects.Revision
	}
	return f.Revision - 1
}

// eachChange is how many of each kind the first page has room for.
func (f *Figures) eachChange() int {
	if f.Corrects != nil {
		return correctedChanges
	}
	return firstChanges
}

func (p *paper) changed() {
	if t := p.f.changes(p.f.eachChange()); t != nil {
		p.table(t)
	}
}

// changed is every change, where the first page has not room for all.
func (f *Figures) changed() *table {
	if t := f.changes(f.eachChange()); t == nil || len(t.rows) == len(f.Changes) {
		return nil
	}
	t := f.changes(len(f.Changes))
	t.title = "All that changed since revision " + count(int64(f.since()))
	return t
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

// signatures is a page of its own: who signed the steps of the close, how the books moved, and
// who decided what the figures rest on.
func (p *paper) signatures() {
	p.page()
	p.heading("Sign-off")
	p.y++
	p.steps()
	p.moves()
	if len(p.f.Decisions) == 0 {
		if len(p.f.Steps) == 0 && len(p.f.Moves) == 0 {
			p.paragraph(9, black, "No person’s decision is recorded that these figures rest on. Nobody signed this packet.")
		}
		return
	}
	p.heading("Decisions")
	p.y++
	p.paragraph(8.5, gray, "Each person signed in with the issuer named here and decided for exactly this digest; Tollbook recorded it. The issuer approved nothing and knew no more than the digest.")
	for i := range p.f.Decisions {
		d := &p.f.Decisions[i]
		who := d.Name
		if d.Role != "" {
			who += ", " + d.Role
		}
		if d.For != "" {
			who += " (for " + d.For + ")"
		}
		about := word(d.Verdict) + ": " + d.Kind
		if d.Number > 0 {
			about += fmt.Sprintf(", change %d", d.Number)
		}
		p.block(who, minute(d.At), []told{{"Decision", about, false}, {"Issuer", d.Issuer, false}, {"Subject", d.Subject, false}, {"Digest", d.Digest, true}})
	}
	if f := p.f; f.DecisionsLeft > 0 {
		p.need(32)
		p.y += 4
		p.paragraph(8.5, black, f.decisionsLeft())
	}
}

// decisionsLeft says which approvals a packet does not list.
func (f *Figures) decisionsLeft() string {
	return fmt.Sprintf("%d more approvals that these figures rest on are not listed: they were given from %s on, and the company’s page “Changes” has them.", f.DecisionsLeft, minute(f.Decisions[len(f.Decisions)-1].At))
}

// told is a line of a block.
type told struct {
	name, value string
	fixed       bool
}

// block is what one signature, or one step, says; it is never parted.
func (p *paper) block(title, beside string, facts []told) {
	p.face(faceText, "B", 9.5, black)
	titles := p.wrap(title, wide*0.66)
	high := 9 + float64(len(titles)-1)*4.4
	for _, f := range facts {
		high += p.factHigh(f.value, f.fixed)
	}
	p.need(high)
	if p.y == top {
		p.y -= 6
	} else {
		p.y += 4
		p.stroke(p.y, rule)
	}
	p.y += 5
	for i, one := range titles {
		if i > 0 {
			p.y += 4.4
		}
		p.face(faceText, "B", 9.5, black)
		p.at(left, p.y, one)
		if i == 0 {
			p.face(faceText, "", 8.5, gray)
			p.rightAt(right, p.y, beside)
		}
	}
	for _, f := range facts {
		p.fact(f.name, f.value, f.fixed)
	}
}

// steps are the close's checklist with who signed each.
func (p *paper) steps() {
	if len(p.f.Steps) == 0 {
		return
	}
	p.paragraph(8.5, gray, fmt.Sprintf("The checklist of the close, revision %d of the month’s books. Each signature is of exactly the figures whose SHA-256 is printed; who prepared a step did not review it.", p.f.BooksRevision))
	for i := range p.f.Steps {
		s := &p.f.Steps[i]
		facts := []told{}
		for _, one := range []struct {
			name string
			sign *Signature
		}{{"Prepared", s.Preparer}, {"Reviewed", s.Reviewer}} {
			if one.sign != nil {
				facts = append(facts, told{one.name, one.sign.words(), false})
				if one.sign.Note != "" {
					facts = append(facts, told{"", "“" + one.sign.Note + "”", false})
				}
			}
		}
		if s.WaivedBy > 0 {
			facts = append(facts, told{"Waived", fmt.Sprintf("by change %d: %s", s.WaivedBy, s.Waived), false})
		}
		if s.Digest != "" {
			facts = append(facts, told{"Figures", s.Digest, true})
		}
		p.block(word(s.Step), s.state(), facts)
	}
}

// words are a signature on one line.
func (s *Signature) words() string {
	text := s.Name
	if s.Role != "" {
		text += ", " + s.Role
	}
	text += ", " + minute(s.At)
	if s.Issuer != "" {
		text += "; " + s.Issuer + ", subject " + s.Subject
	}
	return text
}

// moves are how the month's books went from state to state, with the changes that did it.
func (p *paper) moves() {
	if len(p.f.Moves) == 0 {
		return
	}
	t := &table{
		title: "The month’s books", printed: true, note: "Each move from state to state, and the change that made it.",
		columns: []column{{"Move", text, 38}, {"Revision", number, 15}, {"Change", number, 15}, {"Proposed by", text, 36}, {"At", text, 46}, {"Reason", text, 50}},
	}
	for i := range p.f.Moves {
		m := &p.f.Moves[i]
		t.rows = append(t.rows, []cell{string(m.From) + " to " + string(m.To), int64(m.Revision), m.Change, m.Name, minute(m.At), m.Reason})
	}
	p.table(t)
}

// verification is the last page: what proves that these are the files.
func (p *paper) verification(contents []export.Manifest, missing []LeftOut) {
	f := p.f
	p.page()
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
	if len(missing) > 0 {
		p.heading("Left out")
		p.y++
		p.paragraph(8, gray, "The packet has no room for these: 64 MiB and "+count(MaxFiles)+" files at most.")
		for i := range missing {
			l := &missing[i]
			p.need(3 * line)
			p.fact(l.File, fmt.Sprintf("%s, %s bytes: %s", l.Report, count(int64(l.Bytes)), l.Where), false)
			p.fact("", l.SHA256, true)
		}
	}
	p.y += 2
	p.paragraph(8, gray, "The digest of this document is in the manifest alone: a file cannot hold its own. Made "+f.At.UTC().Format(time.RFC3339)+" by Tollbook "+f.CodeVersion+".")
}
