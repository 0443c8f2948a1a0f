package packet

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"tollbook/app/export"
	"tollbook/app/money"
)

// Comment is what the owner of a node says about what its month came to, and about which
// figures.
type Comment struct {
	Code, Name, Path          string
	Owner                     string // who answers for the node; empty: nobody
	State                     string
	Stale                     bool // it is about other figures than the packet's
	Text                      string
	Revision                  int
	By                        string
	At                        time.Time
	AcceptedBy                string // empty: nobody did
	AcceptedAt                time.Time
	Digest                    string // of the figures it is about
	Actual, Before            money.Sum
	Plan                      *money.Cents // nil: none is in force
	Price, Volume, Mix, Tools money.Sum
}

// Dispute is a charge that a budget owner says is another's.
type Dispute struct {
	Number   int64
	Code, To string // that is charged, and that should be
	Requests int64
	Amount   money.Sum // that would move
	Reason   string
	State    string
	Open     bool // it has not ended
	By       string
	RaisedAt time.Time
	Since    time.Time // in that state
	Change   int64     // that moves it; 0: none was proposed
}

// words are how a comment stands.
func (c *Comment) words() string {
	switch {
	case c.Text == "":
		return "Asked, not answered"
	case c.Stale:
		return "Written about other figures"
	case c.AcceptedBy != "":
		return "Accepted by " + c.AcceptedBy
	}
	return word(c.State)
}

// comment finds what was written about a node, by its path.
func (f *Figures) comment(path string) string {
	for i := range f.Comments {
		if f.Comments[i].Path == path {
			return f.Comments[i].Text
		}
	}
	return ""
}

// byComment is what the owners of nodes wrote, with the figures it is about.
func byComment(f *Figures, _ *settled) *table {
	if len(f.Comments) == 0 {
		return nil
	}
	t := &table{
		sheet: "Commentary", title: "Commentary", note: "What the owners of nodes say about the month, each about the figures beside it; the change against the month before by price, volume and mix.",
		columns: []column{
			{"Code", text, 0}, {"Name", text, 0}, {"Path", text, 0}, {"State", text, 0}, {"Text", text, 0}, {"Revision", number, 0}, {"By", text, 0}, {"At", text, 0}, {"Accepted by", text, 0}, {"Accepted at", text, 0}, {"Owner", text, 0},
			{"Actual", exact, 0}, {"Plan", cents, 0}, {"Prior month", exact, 0}, {"Price", exact, 0}, {"Volume", exact, 0}, {"Mix", exact, 0}, {"Tools", exact, 0}, {"Digest of the figures", code, 0},
		},
		controls: []export.Pair{pair("commentaries", strconv.Itoa(len(f.Comments)))},
	}
	for i := range f.Comments {
		c := &f.Comments[i]
		row := []cell{
			c.Code, c.Name, c.Path, c.words(), c.Text, int64(c.Revision), c.By, stamp(c.At), c.AcceptedBy, stamp(c.AcceptedAt), c.Owner,
			c.Actual.String(), nil, c.Before.String(), c.Price.String(), c.Volume.String(), c.Mix.String(), c.Tools.String(), c.Digest,
		}
		if c.Plan != nil {
			row[12] = *c.Plan
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// byDispute is what is disputed of the month.
func byDispute(f *Figures, _ *settled) *table {
	if len(f.Disputes) == 0 {
		return nil
	}
	t := &table{
		sheet: "Disputes", title: "Disputes", note: "Charges that a budget owner says are another’s, with the amount that would move; age in days since they were raised.",
		columns: []column{
			{"Number", number, 0}, {"Charged", text, 0}, {"Should be", text, 0}, {"State", text, 0}, {"Open", text, 0}, {"Age", number, 0}, {"Requests", number, 0}, {"US dollars", cents, 0}, {"Exact", exact, 0}, {"Reason", text, 0}, {"Raised by", text, 0},
			{"Raised at", text, 0}, {"Since", text, 0}, {"Change", number, 0},
		},
	}
	open := 0
	var amount money.Sum
	for i := range f.Disputes {
		d := &f.Disputes[i]
		state := "no"
		if d.Open {
			state = "open"
			open++
			amount.AddSum(&d.Amount)
		}
		row := []cell{d.Number, d.Code, d.To, word(d.State), state, f.age(d), d.Requests, d.Amount.Display(), d.Amount.String(), d.Reason, d.By, stamp(d.RaisedAt), stamp(d.Since), nil}
		if d.Change > 0 {
			row[13] = d.Change
		}
		t.rows = append(t.rows, row)
	}
	t.controls = []export.Pair{pair("disputes", strconv.Itoa(len(f.Disputes))), pair("open_disputes", strconv.Itoa(open)), pair("open_disputes_usd", amount.String())}
	return t
}

// age is how many whole days a dispute took, or has waited.
func (f *Figures) age(d *Dispute) int64 {
	until := f.At
	if !d.Open {
		until = d.Since
	}
	return max(0, int64(until.UTC().Sub(d.RaisedAt)/(24*time.Hour)))
}

// openDisputes are those that have not ended, for paper.
func openDisputes(f *Figures) *table {
	t := &table{
		title: "Open disputes", printed: true, note: "Charges that somebody says are another’s, and nobody has decided about; they are in the figures where they are charged.",
		columns: []column{{"Number", number, 14}, {"Charged", text, 24}, {"Should be", text, 24}, {"State", text, 18}, {"Age", number, 10}, {"US dollars", cents, 20}, {"Reason", text, 60}},
	}
	for i := range f.Disputes {
		if d := &f.Disputes[i]; d.Open {
			t.rows = append(t.rows, []cell{d.Number, d.Code, d.To, word(d.State), f.age(d), d.Amount.Display(), d.Reason})
		}
	}
	if len(t.rows) == 0 {
		return nil
	}
	return t
}

// commentaryText is what was written, as Markdown; nothing where nobody was asked.
func (f *Figures) commentaryText() string {
	if len(f.Comments) == 0 {
		return ""
	}
	var b strings.Builder
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format+"\n", args...) }
	say("# Commentary, %s", monthName(f.Month))
	say("")
	say("%s.", f.Title())
	for i := range f.Comments {
		c := &f.Comments[i]
		say("")
		say("## %s %s", c.Code, c.Name)
		say("")
		say("%s. %s", c.words(), c.about())
		if c.Text != "" {
			say("")
			for line := range strings.SplitSeq(c.Text, "\n") {
				say("> %s", line)
			}
			say("")
			say("Revision %d, by %s, %s.", c.Revision, c.By, minute(c.At))
		}
	}
	return b.String()
}

// about are the figures of a comment on one line.
func (c *Comment) about() string {
	if c.Text == "" {
		return ""
	}
	var moved money.Sum
	moved.AddSum(&c.Actual)
	moved.SubSum(&c.Before)
	text := "Actual " + dollars(c.Actual.Display())
	if c.Plan != nil {
		var over money.Sum
		over.AddSum(&c.Actual)
		over.AddCents(-*c.Plan)
		text += ", plan " + dollars(*c.Plan) + " (" + signed(over.Display()) + ")"
	}
	text += ", month before " + dollars(c.Before.Display()) + " (" + signed(moved.Display()) + ": "
	return text + fmt.Sprintf("price %s, volume %s, mix %s, tools %s).", signed(c.Price.Display()), signed(c.Volume.Display()), signed(c.Mix.Display()), signed(c.Tools.Display()))
}

// comments print what was written, node by node.
func (p *paper) comments() {
	if len(p.f.Comments) == 0 {
		return
	}
	p.need(60)
	p.heading("Commentary")
	p.y++
	for i := range p.f.Comments {
		c := &p.f.Comments[i]
		facts := []told{}
		if c.Text != "" {
			facts = append(facts, told{"About", c.about(), false}, told{"Written by", fmt.Sprintf("%s, %s, revision %d", c.By, minute(c.At), c.Revision), false})
		}
		p.block(c.Code+" "+c.Name, c.words(), facts)
		for line := range strings.SplitSeq(c.Text, "\n") {
			p.paragraph(9, black, line)
		}
	}
}
