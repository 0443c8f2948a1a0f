package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"tollbook/app"
	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/web/ui"
)

type recordView struct {
	Frame   ui.Frame
	Row     logRow
	State   *app.LogState
	Fields  []recordField
	Cut     bool   // there are more fields than are shown
	Bytes   int    // of the canonical form
	Text    string // the canonical bytes; empty: too many for a page
	Leaf    string
	Purged  bool       // its bytes are gone
	Proof   *proofView // nil: no signed head covers it yet
	ByActor string     // all that this actor did
	OfThing string     // all about the same thing; empty: it is about none
}

// recordField is a part of a record by its name in the canonical form.
type recordField struct {
	Name, Value string
	Lines       bool // the value is laid out in lines
}

type proofView struct {
	Head     int64
	SignedAt string
	Root     string
	Steps    []proofStep
	URL      string
}

type proofStep struct {
	Side string // where the hash stands
	Hash string
	Node string
}

const (
	// maxFields and maxShownBytes bound what a page lays out of one record.
	maxFields     = 200
	maxShownBytes = 64 << 10
)

// record reads the record of an address.
func (w *Web) record(v *visit) (app.LogProof, error) {
	record, err := id.ParseRecord(v.Param("id"))
	if err != nil {
		return app.LogProof{}, errPageAbsent
	}
	return w.areas.Log.Record(v.Request().Context(), v.who, record)
}

func (w *Web) showRecord(v *visit) error {
	p, err := w.record(v)
	if err != nil {
		return err
	}
	view := &recordView{Row: v.logRow(&p.LogEntry), State: &p.State, Bytes: len(p.Canonical), Leaf: leafOf(&p).String(), Purged: purgedRecord(&p), ByActor: logQuery{Actor: p.Actor}.url("/log")}
	title := "Record " + ui.ShortID(p.Record.String())
	if view.Row.Place != "" {
		title = "Record " + view.Row.Place
	}
	view.Frame = v.frame(title)
	if subjectForm.MatchString(p.Subject) {
		view.OfThing = logQuery{Subject: p.Subject}.url("/log")
	}
	view.Fields = recordFields(p.Canonical)
	if view.Cut = len(view.Fields) > maxFields; view.Cut {
		view.Fields = view.Fields[:maxFields]
	}
	if len(p.Canonical) <= maxShownBytes {
		view.Text = string(p.Canonical)
	}
	if view.Proof, err = proofOf(&p); err != nil {
		return err
	}
	return render(v, http.StatusOK, recordPage(view))
}

var errRecordPurged = fault.New(fault.KindNotFound, "record_purged", "The bytes of this record were purged when their term was over. Its place and its hash are proved as before.")

// purgedRecord tells whether a record's bytes are gone; its hash in the log stays.
func purgedRecord(p *app.LogProof) bool { return len(p.Canonical) == 0 }

// leafOf is the hash of a record's bytes as they are, or as they were.
func leafOf(p *app.LogProof) auditlog.Hash {
	if purgedRecord(p) && len(p.Leaf) == len(auditlog.Hash{}) {
		return auditlog.Hash(p.Leaf)
	}
	return auditlog.Leaf(p.Canonical)
}

// recordFields lays a record out by the names it has in its bytes, in their order.
func recordFields(canonical []byte) []recordField {
	var whole map[string]any
	decoder := json.NewDecoder(bytes.NewReader(canonical))
	decoder.UseNumber()
	if decoder.Decode(&whole) != nil {
		return nil
	}
	return flat(nil, "", whole)
}

// flat is a value by its path; it stops a little past what is shown.
func flat(list []recordField, name string, value any) []recordField {
	if len(list) > maxFields {
		return list
	}
	join := func(part string) string { return strings.TrimPrefix(name+"."+part, ".") }
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			list = flat(list, join(key), v[key])
		}
		return list
	case []any:
		for i, one := range v {
			list = flat(list, join(strconv.Itoa(i)), one)
		}
		return list
	case string:
		if strings.HasPrefix(v, "{") && json.Valid([]byte(v)) && len(v) <= maxShownBytes { // what a change's maker asked for
			return append(list, recordField{Name: name, Value: laidOut([]byte(v)), Lines: true})
		}
		return append(list, recordField{Name: name, Value: shorten(v, maxShownBytes)})
	case nil:
		return append(list, recordField{Name: name, Value: "null"})
	}
	return append(list, recordField{Name: name, Value: fmt.Sprint(value)})
}

func proofOf(p *app.LogProof) (*proofView, error) {
	if len(p.Proof) == 0 {
		return nil, nil // no head covers it
	}
	proof, err := auditlog.ParseProof(p.Proof)
	if err != nil {
		return nil, err
	}
	view := &proofView{Head: p.Head, SignedAt: ui.Instant(p.SignedAt), URL: "/log/" + p.Record.String() + "/proof"}
	root := leafOf(p)
	for _, step := range auditlog.Path(p.Head, p.Sequence, root, proof.Hashes) {
		side := "after"
		if step.Left {
			side = "before"
		}
		view.Steps = append(view.Steps, proofStep{side, step.Hash.String(), step.Node.String()})
		root = step.Node
	}
	view.Root = root.String()
	return view, nil
}

// sendProof sends the record's C2SP tlog-proof.
func (w *Web) sendProof(v *visit) error {
	p, err := w.record(v)
	if err != nil {
		return err
	}
	if len(p.Proof) == 0 {
		return errNoProof
	}
	return v.file("text/plain; charset=utf-8", fmt.Sprintf("tollbook-%s-record-%d.tlog-proof", v.slug, p.Sequence), p.Proof)
}

// sendRecord sends the record's canonical bytes, with nothing before or after them.
func (w *Web) sendRecord(v *visit) error {
	p, err := w.record(v)
	if err != nil {
		return err
	}
	if purgedRecord(&p) {
		return errRecordPurged
	}
	return v.file("application/json", fmt.Sprintf("tollbook-%s-%s.json", v.slug, p.Record), p.Canonical)
}

// file answers with a file to keep.
func (v *visit) file(kind, name string, content []byte) error {
	v.Response().Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
	return v.Blob(http.StatusOK, kind, content)
}
