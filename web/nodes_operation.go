package web

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/web/ui"
)

// changeNodeURL is the page that proposes an operation on a node.
func changeNodeURL(op hierarchy.Op, code string) string {
	values := url.Values{"op": {string(op)}}
	if code != "" {
		values.Set("code", code)
	}
	return "/nodes/change?" + values.Encode()
}

// opChoice is an operation as it is offered.
type opChoice struct {
	Op          hierarchy.Op
	Label, Does string
}

// opChoices are the operations in the order they are offered.
func opChoices() []opChoice {
	return []opChoice{
		{hierarchy.OpMove, "Move", "It goes below another node, with everything below it."},
		{hierarchy.OpRename, "Rename", "It has another name."},
		{hierarchy.OpRecode, "Recode", "Finance’s code of it is another; its charges stay its own."},
		{hierarchy.OpOwner, "Change the owner", "Somebody else answers for it."},
		{hierarchy.OpCapitalization, "Capitalization", "Its cost is capitalized or expensed, with the evidence for it."},
		{hierarchy.OpGLAccount, "GL account", "Its cost is booked to another account."},
		{hierarchy.OpEntity, "Entity", "It, and what is below it without an entity of its own, belongs to another legal entity."},
		{hierarchy.OpDimensions, "ERP dimensions", "Its codes in NetSuite, Oracle, SAP and Workday."},
		{hierarchy.OpKind, "Kind", "It is a business unit, a cost center or a project."},
		{hierarchy.OpCreate, "Create", "A new node below another one, or at the top."},
		{hierarchy.OpMerge, "Merge", "It retires and another node takes its place; its virtual keys charge that one."},
		{hierarchy.OpSplit, "Split", "It retires and several new nodes take its place."},
		{hierarchy.OpRetire, "Retire", "It is there no more; what was charged to it stays where it is."},
	}
}

// of is what a page about the operation on a node is called.
func (c opChoice) of(code string) string {
	things := []hierarchy.Op{hierarchy.OpOwner, hierarchy.OpCapitalization, hierarchy.OpGLAccount, hierarchy.OpEntity, hierarchy.OpDimensions, hierarchy.OpKind}
	switch {
	case c.Op == hierarchy.OpCreate:
		return "Create a node"
	case code != "" && slices.Contains(things, c.Op):
		return c.Label + " of " + code
	}
	return strings.TrimSpace(c.Label + " " + code)
}

func opOf(text string) (opChoice, bool) {
	list := opChoices()
	at := slices.IndexFunc(list, func(c opChoice) bool { return string(c.Op) == text })
	if at < 0 {
		return opChoice{}, false
	}
	return list[at], true
}

// opTitle says an operation in a line.
func opTitle(o *hierarchy.Operation) string {
	switch o.Op {
	case hierarchy.OpCreate:
		return "Create " + o.Code + " “" + o.Name + "”"
	case hierarchy.OpRename:
		return "Rename " + o.Code + " to “" + o.Name + "”"
	case hierarchy.OpRecode:
		return "Recode " + o.Code + " to " + o.NewCode
	case hierarchy.OpMove:
		if o.ParentCode == nil || *o.ParentCode == "" {
			return "Move " + o.Code + " to the top"
		}
		return "Move " + o.Code + " to " + *o.ParentCode
	case hierarchy.OpMerge:
		return "Merge " + o.Code + " into " + o.Into
	case hierarchy.OpSplit:
		return "Split " + o.Code
	case hierarchy.OpRetire:
		return "Retire " + o.Code
	case hierarchy.OpCapitalization:
		return ui.Words(string(o.Capitalization)) + " " + o.Code
	case hierarchy.OpOwner, hierarchy.OpEntity, hierarchy.OpGLAccount, hierarchy.OpKind, hierarchy.OpDimensions:
		return "Change the " + nodeFieldWords(string(o.Op)) + " of " + o.Code
	}
	return o.Code
}

// opForm is one operation as typed.
type opForm struct {
	trouble

	Op     opChoice
	Values map[string]string
	Parts  []opPart
	Stay   []opChild // of a split: below which part each child goes
	Node   *app.NodeView
	Spare  bool // one more line for a part was asked for
}

type opPart struct{ Code, Name string }

type opChild struct{ Code, Name, To string }

// opFields are the fields of an operation's form, by what the operation takes.
func opFields() []string {
	return []string{
		"code", "new_code", "name", "kind", "parent", "owner", "entity", "gl_account", "capitalization", "into", "children", "keys_to", "dimensions",
		"standard", "category", "authorized_on", "authorization_document", "funding_commitment", "uncertain", "started_on", "ready_for_use_on", "in_service_on",
		"capitalizable_percent",
	}
}

const (
	opLines   = 3 // for the parts of a split, at first
	maxLines  = 50
	childStem = "child:"
)

// typedOp reads an operation out of a form or an address.
func typedOp(sent url.Values) (*opForm, error) {
	choice, known := opOf(sent.Get("op"))
	if !known {
		return nil, fault.Invalid("op", "op_unknown", "%.40q is no operation on a node.", sent.Get("op"))
	}
	f := &opForm{Op: choice, Values: map[string]string{}}
	for _, name := range opFields() {
		if sent.Has(name) {
			f.Values[name] = strings.TrimSpace(sent.Get(name))
		}
	}
	codes, names := sent["part_code"], sent["part_name"]
	for i := range codes {
		if part := (opPart{Code: strings.TrimSpace(codes[i])}); i < maxLines {
			if i < len(names) {
				part.Name = strings.TrimSpace(names[i])
			}
			if part != (opPart{}) {
				f.Parts = append(f.Parts, part)
			}
		}
	}
	for name := range sent {
		if code, is := strings.CutPrefix(name, childStem); is && len(f.Stay) < maxTreeRows {
			f.Stay = append(f.Stay, opChild{Code: code, To: strings.TrimSpace(sent.Get(name))})
		}
	}
	slices.SortFunc(f.Stay, func(a, b opChild) int { return strings.Compare(a.Code, b.Code) })
	return f, nil
}

// complete says whether an address says all that its operation needs.
func (f *opForm) complete() bool {
	_, parent := f.Values["parent"]
	return f.Op.Op == hierarchy.OpMove && f.Values["code"] != "" && parent
}

// text is a field that is there, even where it is empty.
func (f *opForm) text(name string) *string { return new(f.Values[name]) }

// said is a field unless it is empty.
func (f *opForm) said(name string) *string {
	if f.Values[name] == "" {
		return nil
	}
	return new(f.Values[name])
}

// operation is what was typed as an operation.
func (f *opForm) operation() (hierarchy.Operation, error) {
	o := hierarchy.Operation{Op: f.Op.Op, Code: f.Values["code"]}
	var err error
	switch o.Op {
	case hierarchy.OpCreate:
		o.Name, o.Kind, o.ParentCode = f.Values["name"], hierarchy.Kind(f.Values["kind"]), f.text("parent")
		o.Owner, o.Entity, o.GLAccount, o.Capitalization = f.said("owner"), f.said("entity"), f.said("gl_account"), hierarchy.Capitalization(f.Values["capitalization"])
		if o.Dimensions, err = dimensionsTyped(f.Values["dimensions"]); len(o.Dimensions) == 0 {
			o.Dimensions = nil
		}
		if err == nil {
			o.Evidence, err = f.evidence()
		}
		if o.Evidence != nil && *o.Evidence == (hierarchy.Evidence{}) {
			o.Evidence = nil
		}
	case hierarchy.OpRename:
		o.Name = f.Values["name"]
	case hierarchy.OpRecode:
		o.NewCode = f.Values["new_code"]
	case hierarchy.OpMove:
		o.ParentCode = f.text("parent")
	case hierarchy.OpOwner:
		o.Owner = f.text("owner")
	case hierarchy.OpEntity:
		o.Entity = f.text("entity")
	case hierarchy.OpGLAccount:
		o.GLAccount = f.text("gl_account")
	case hierarchy.OpKind:
		o.Kind = hierarchy.Kind(f.Values["kind"])
	case hierarchy.OpCapitalization:
		o.Capitalization = hierarchy.Capitalization(f.Values["capitalization"])
		o.Evidence, err = f.evidence()
	case hierarchy.OpDimensions:
		o.Dimensions, err = dimensionsTyped(f.Values["dimensions"])
	case hierarchy.OpMerge:
		o.Into, o.Children = f.Values["into"], f.Values["children"]
	case hierarchy.OpRetire:
		o.Children, o.KeysTo = f.Values["children"], f.Values["keys_to"]
	case hierarchy.OpSplit:
		f.split(&o)
	}
	if err == nil {
		err = o.Validate()
	}
	return o, err
}

func (f *opForm) split(o *hierarchy.Operation) {
	o.KeysTo = f.Values["keys_to"]
	for _, p := range f.Parts {
		o.Nodes = append(o.Nodes, hierarchy.Part{Code: p.Code, Name: p.Name})
	}
	for _, c := range f.Stay {
		if o.ChildrenTo == nil {
			o.ChildrenTo = map[string]string{}
		}
		o.ChildrenTo[c.Code] = c.To
	}
}

func (f *opForm) evidence() (*hierarchy.Evidence, error) {
	e := &hierarchy.Evidence{
		Standard: hierarchy.Standard(f.Values["standard"]), Category: hierarchy.Category(f.Values["category"]), AuthorizedOn: f.Values["authorized_on"],
		AuthorizationDocument: f.Values["authorization_document"], FundingCommitment: f.Values["funding_commitment"], Uncertain: f.Values["uncertain"] != "",
		StartedOn: f.Values["started_on"], ReadyForUseOn: f.Values["ready_for_use_on"], InServiceOn: f.Values["in_service_on"],
	}
	if text := f.Values["capitalizable_percent"]; text != "" {
		bps, err := basisPoints(text)
		if err != nil {
			return nil, fault.Invalid("capitalizable_percent", "evidence_share", "The capitalizable share is 0 to 100 percent with at most two decimals, such as 62.5.")
		}
		e.CapitalizableBps = bps
	}
	return e, nil
}

// dimensionsTyped reads lines such as "netsuite.department = 120".
func dimensionsTyped(text string) (map[string]map[string]string, error) {
	codes := map[string]map[string]string{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		key, value, is := strings.Cut(line, "=")
		system, name, dotted := strings.Cut(strings.TrimSpace(key), ".")
		if !is || !dotted {
			return nil, fault.Invalid("dimensions", "dimension_line", "A line is a system, a dimension and its code, as netsuite.department = 120; %.60q is not.", line)
		}
		system = strings.ToLower(system)
		if codes[system] == nil {
			codes[system] = map[string]string{}
		}
		if codes[system][name] != "" {
			return nil, fault.Invalid("dimensions", "dimension_twice", "%s.%s is there twice.", system, name)
		}
		codes[system][name] = strings.TrimSpace(value)
	}
	return codes, nil
}

// typedAgain is an operation as the form that makes it, to be edited.
func typedAgain(o *hierarchy.Operation) *opForm {
	choice, _ := opOf(string(o.Op))
	f := &opForm{Op: choice, Values: map[string]string{
		"code": o.Code, "new_code": o.NewCode, "name": o.Name, "kind": string(o.Kind), "capitalization": string(o.Capitalization), "into": o.Into, "children": o.Children, "keys_to": o.KeysTo,
	}}
	for name, value := range map[string]*string{"parent": o.ParentCode, "owner": o.Owner, "entity": o.Entity, "gl_account": o.GLAccount} {
		if value != nil {
			f.Values[name] = *value
		}
	}
	if e := o.Evidence; e != nil {
		f.evidenceOf(e)
	}
	if d, err := hierarchy.NewDimensions(o.Dimensions); err == nil {
		f.Values["dimensions"] = strings.Join(dimensionLines(d), "\n")
	}
	for i := range o.Nodes {
		f.Parts = append(f.Parts, opPart{o.Nodes[i].Code, o.Nodes[i].Name})
	}
	for _, code := range sortedKeys(o.ChildrenTo) {
		f.Stay = append(f.Stay, opChild{Code: code, To: o.ChildrenTo[code]})
	}
	return f
}

func (f *opForm) evidenceOf(e *hierarchy.Evidence) {
	maps.Copy(f.Values, map[string]string{
		"standard": string(e.Standard), "category": string(e.Category), "authorized_on": e.AuthorizedOn, "authorization_document": e.AuthorizationDocument,
		"funding_commitment": e.FundingCommitment, "started_on": e.StartedOn, "ready_for_use_on": e.ReadyForUseOn, "in_service_on": e.InServiceOn,
	})
	if e.Uncertain {
		f.Values["uncertain"] = "yes"
	}
	if e.CapitalizableBps > 0 {
		f.Values["capitalizable_percent"] = strings.TrimSuffix(shareOf(e.CapitalizableBps*100), "%")
	}
}

// meet fills a form with what the node it names is now, where nothing was typed.
func (f *opForm) meet(nodes []app.NodeView) {
	at := slices.IndexFunc(nodes, func(n app.NodeView) bool { return n.Code == f.Values["code"] })
	if f.Op.Op == hierarchy.OpSplit {
		f.Spare = len(f.Parts) > 0
	}
	if at < 0 || f.Op.Op == hierarchy.OpCreate {
		return
	}
	n := &nodes[at]
	f.Node = n
	now := &opForm{Values: map[string]string{
		"name": n.Name, "kind": string(n.Kind), "parent": n.ParentCode, "entity": n.Entity, "gl_account": n.GLAccount, "capitalization": string(n.Capitalization),
		"dimensions": strings.Join(dimensionLines(n.Dimensions), "\n"),
	}}
	if !n.Owner.IsZero() {
		now.Values["owner"] = n.Owner.String()
	}
	now.evidenceOf(&n.Evidence)
	for name, value := range now.Values {
		if _, typed := f.Values[name]; !typed {
			f.Values[name] = value
		}
	}
	if f.Op.Op != hierarchy.OpSplit {
		return
	}
	for i := range nodes {
		if nodes[i].Parent != n.Node {
			continue
		}
		if j := slices.IndexFunc(f.Stay, func(c opChild) bool { return c.Code == nodes[i].Code }); j >= 0 {
			f.Stay[j].Name = nodes[i].Name
		} else {
			f.Stay = append(f.Stay, opChild{Code: nodes[i].Code, Name: nodes[i].Name})
		}
	}
}

// lines are the lines for the parts of a split: those that were filled in, and free ones.
func (f *opForm) lines() []opPart {
	list := slices.Clone(f.Parts)
	for len(list) < opLines || (f.Spare && len(list) < min(len(f.Parts)+2, maxLines)) {
		list = append(list, opPart{})
	}
	return list
}

// blame marks the field of the form that an operation's fault is about.
func (f *opForm) blame(err error) {
	told := fault.From(err)
	member := told.Field
	if _, inner, is := hierarchy.OperationOf(member); is {
		member = inner
	}
	member = strings.TrimPrefix(member, "evidence.")
	switch {
	case member == "parent_code":
		member = "parent"
	case member == "capitalizable_bps":
		member = "capitalizable_percent"
	case strings.HasPrefix(member, "dimensions"):
		member = "dimensions"
	case strings.HasPrefix(member, "nodes"):
		member = "parts"
	case member == "operations" || member == "was" || member == "":
		member = "code"
	}
	f.trouble = trouble{Alert: told.Message, Field: member}
}

// stepOn reads the number of a step such as "edit:2".
func stepOn(step string, n int) (string, int, bool) {
	word, number, is := strings.Cut(step, ":")
	if !is {
		return word, 0, true
	}
	i, err := strconv.Atoi(number)
	return word, i, err == nil && i >= 0 && i < n
}
