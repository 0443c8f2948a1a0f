package closing

import "fmt"

// System is what became of a month's journal in one of the systems it is exported to.
type System struct {
	Name         string
	Unexported   int // entries of an entity that no export holds which stands
	Documents    int // exported
	Acknowledged int // of them, with the system's id
	Imported     bool
	Findings     int // of what the general ledger says, that do not tie to what was exported
}

// Exported is what became of a month's journal after the month was locked.
type Exported struct {
	Systems []System
	Digest  string // over the documents and the ids that systems gave them
}

// ExportFacts are those of the step exported.
func ExportFacts(x *Exported) Facts {
	f := Facts{Step: StepExported}
	var unexported, documents, acknowledged, findings int64
	unposted := 0
	for i := range x.Systems {
		s := &x.Systems[i]
		unexported += int64(s.Unexported)
		documents += int64(s.Documents)
		acknowledged += int64(s.Acknowledged)
		findings += int64(s.Findings)
		if s.Documents > 0 && !s.Imported {
			unposted++
		}
	}
	f.count("journals_exported", documents)
	f.count("journals_acknowledged", acknowledged)
	f.count("entries_not_exported", unexported)
	f.count("systems", int64(len(x.Systems)))
	f.count("ledger_findings", findings)
	f.text("exports_sha256", x.Digest)
	for i := range x.Systems {
		s := &x.Systems[i]
		if s.Unexported > 0 {
			f.blockf("unexported", "%s in no file for %s.", countWords(int64(s.Unexported), "entry of the month is", "entries of the month are"), s.Name)
		}
		if missing := s.Documents - s.Acknowledged; missing > 0 {
			f.blockf("unacknowledged", "%s not acknowledged: nobody has said what %s made of it.", countWords(int64(missing), "journal is", "journals are"), s.Name)
		}
	}
	switch {
	case len(x.Systems) == 0:
		f.Asks = "No system takes the journal from here: say how it came into the general ledger."
	case findings > 0:
		f.Asks = fmt.Sprintf("The general ledger says otherwise than was exported (%s): say why that is right.", countWords(findings, "difference", "differences"))
	case unposted > 0:
		f.Asks = "The general ledger’s own figures were not imported: say how it was seen that it posted what was exported."
	}
	return f
}

// Recipient is how the final packet of a month stands with one who is due it.
type Recipient struct {
	Label     string
	Delivered bool
	State     string // of the delivery; empty: nothing was queued
}

// PacketFacts are those of the step packet.
func PacketFacts(list []Recipient) Facts {
	f := Facts{Step: StepPacket}
	delivered := int64(0)
	for i := range list {
		r := &list[i]
		switch {
		case r.Delivered:
			delivered++
		case r.State == "":
			f.blockf("undelivered", "The final packet has not been sent to %s yet.", r.Label)
		default:
			f.blockf("undelivered", "The final packet has not reached %s.", r.Label)
		}
	}
	f.count("recipients", int64(len(list)))
	f.count("packets_delivered", delivered)
	return f
}
