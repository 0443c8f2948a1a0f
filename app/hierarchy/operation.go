package hierarchy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// Op is what an operation does to a node.
type Op string

// The operations. All take effect at the one instant of their change.
const (
	OpCreate         Op = "create"
	OpRename         Op = "rename"
	OpRecode         Op = "recode"
	OpMove           Op = "move"
	OpMerge          Op = "merge"  // a node retires and another takes its place
	OpSplit          Op = "split"  // a node retires and several new ones take its place
	OpRetire         Op = "retire" // a node is there no more
	OpOwner          Op = "owner"
	OpEntity         Op = "entity"
	OpGLAccount      Op = "gl_account"
	OpKind           Op = "kind"
	OpCapitalization Op = "capitalization"
	OpDimensions     Op = "dimensions"
)

// What becomes of the children of a node that retires. Without a word there may be none.
const (
	ChildrenInto   = "into"   // of a merged node: they go below the one it is merged into
	ChildrenStay   = "stay"   // where the node stood, below its parent
	ChildrenRetire = "retire" // with it, and all below them
)

// Operation is one step of a change of the hierarchy. Nodes are named by the codes they
// have when the step's turn comes, at the change's instant. A nil member was not said; an
// empty one takes away.
type Operation struct {
	Op             Op                           `json:"op"`
	Code           string                       `json:"code"`
	NewCode        string                       `json:"new_code,omitempty"`
	Name           string                       `json:"name,omitempty"`
	Kind           Kind                         `json:"kind,omitempty"`
	ParentCode     *string                      `json:"parent_code,omitempty"` // empty: at the top
	Owner          *string                      `json:"owner,omitempty"`       // a member's id
	Entity         *string                      `json:"entity,omitempty"`
	GLAccount      *string                      `json:"gl_account,omitempty"`
	Capitalization Capitalization               `json:"capitalization,omitempty"`
	Evidence       *Evidence                    `json:"evidence,omitempty"`
	Dimensions     map[string]map[string]string `json:"dimensions,omitzero"` // all of them; empty for none
	Into           string                       `json:"into,omitempty"`      // of a merge
	Children       string                       `json:"children,omitempty"`  // of a merge or a retirement
	Nodes          []Part                       `json:"nodes,omitempty"`     // of a split
	ChildrenTo     map[string]string            `json:"children_to,omitempty"`
	// KeysTo is the node that the retiring node's virtual keys charge from then on.
	KeysTo string `json:"keys_to,omitempty"`
	// Was is what the maker saw of what the step replaces: where it is something else when
	// the step is taken, the step is refused.
	Was *string `json:"was,omitempty"`
}

// Part is one of the nodes that a node is split into. What it does not say it has from
// the node.
type Part struct {
	Code           string         `json:"code"`
	Name           string         `json:"name"`
	Owner          *string        `json:"owner,omitempty"`
	Entity         *string        `json:"entity,omitempty"`
	GLAccount      *string        `json:"gl_account,omitempty"`
	Capitalization Capitalization `json:"capitalization,omitempty"`
	Evidence       *Evidence      `json:"evidence,omitempty"`
}

// Bounds of one change.
const (
	MaxNodes      = 5000 // of a tree that is sent as one file
	MaxOperations = 4 * MaxNodes
	maxParts      = 50
)

// payload is a change of the hierarchy as JSON.
type payload struct {
	Operations []json.RawMessage `json:"operations"`
}

// ParseOperations reads {"operations":[…]} strictly. The field of a fault is the member
// at fault, such as operations[3].parent_code.
func ParseOperations(document []byte) ([]Operation, error) {
	var sent payload
	if err := strictly(document, &sent); err != nil {
		return nil, fault.Invalid("payload", "operations_syntax", `The payload of a change of nodes is {"operations":[{"op":"move","code":"P-1","parent_code":"CC-2"}]}: %s.`, err)
	}
	if len(sent.Operations) == 0 || len(sent.Operations) > MaxOperations {
		return nil, fault.Invalid("operations", "operations_count", "A change of nodes has 1 to %d operations.", MaxOperations)
	}
	list := make([]Operation, len(sent.Operations))
	for i, raw := range sent.Operations {
		if err := strictly(raw, &list[i]); err != nil {
			field := fmt.Sprintf("operations[%d]", i)
			if bad, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && bad.Field != "" {
				field += "." + bad.Field
			}
			return nil, fault.Invalid(field, "operation_syntax", "Operation %d cannot be read: %s.", i+1, err)
		}
		if err := list[i].Validate(); err != nil {
			return nil, within(i, err)
		}
	}
	return list, nil
}

// strictly decodes one JSON value with no member that is not known and nothing after it.
func strictly(document []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows it")
	}
	return nil
}

// within puts the operation's place before the field of a fault.
func within(operation int, err error) error {
	f, ok := errors.AsType[*fault.Fault](err)
	if !ok {
		return err
	}
	placed := *f
	placed.Field = "operations[" + strconv.Itoa(operation) + "]"
	if f.Field != "" {
		placed.Field += "." + f.Field
	}
	return &placed
}

// OperationOf reads the place of the operation out of a fault's field; false where the
// fault is about none.
func OperationOf(field string) (operation int, member string, ok bool) {
	rest, found := strings.CutPrefix(field, "operations[")
	number, member, closed := strings.Cut(rest, "]")
	operation, err := strconv.Atoi(number)
	return operation, strings.TrimPrefix(member, "."), found && closed && err == nil
}

// members are what an operation must and may say beside op and code.
func (o Op) members() (must, may []string, known bool) {
	switch o {
	case OpCreate:
		return []string{"name", "kind"}, []string{"parent_code", "owner", "entity", "gl_account", "capitalization", "evidence", "dimensions"}, true
	case OpRename:
		return []string{"name"}, []string{"was"}, true
	case OpRecode:
		return []string{"new_code"}, nil, true
	case OpMove:
		return []string{"parent_code"}, []string{"was"}, true
	case OpMerge:
		return []string{"into"}, []string{"children", "was"}, true
	case OpSplit:
		return []string{"nodes"}, []string{"children_to", "keys_to", "was"}, true
	case OpRetire:
		return nil, []string{"children", "keys_to", "was"}, true
	case OpCapitalization:
		return []string{"capitalization"}, []string{"evidence", "was"}, true
	case OpOwner, OpEntity, OpGLAccount, OpKind, OpDimensions:
		return []string{string(o)}, []string{"was"}, true
	}
	return nil, nil, false
}

// said lists the members an operation has.
func (o *Operation) said() []string {
	var list []string
	for _, m := range []struct {
		name string
		said bool
	}{
		{"new_code", o.NewCode != ""},
		{"name", o.Name != ""},
		{"kind", o.Kind != ""},
		{"parent_code", o.ParentCode != nil},
		{"owner", o.Owner != nil},
		{"entity", o.Entity != nil},
		{"gl_account", o.GLAccount != nil},
		{"capitalization", o.Capitalization != ""},
		{"evidence", o.Evidence != nil},
		{"dimensions", o.Dimensions != nil},
		{"into", o.Into != ""},
		{"children", o.Children != ""},
		{"nodes", len(o.Nodes) > 0},
		{"children_to", len(o.ChildrenTo) > 0},
		{"keys_to", o.KeysTo != ""},
		{"was", o.Was != nil},
	} {
		if m.said {
			list = append(list, m.name)
		}
	}
	return list
}

// Validate checks an operation by itself; the fault's field is the member at fault.
func (o *Operation) Validate() error {
	must, may, known := o.Op.members()
	if !known {
		return fault.Invalid("op", "op_unknown", "%.40q is no operation on a node.", string(o.Op))
	}
	said := o.said()
	for _, m := range must {
		if !slices.Contains(said, m) {
			return fault.Invalid(m, "member_missing", "A %s needs %s.", o.Op, m)
		}
	}
	for _, m := range said {
		if !slices.Contains(must, m) && !slices.Contains(may, m) {
			return fault.Invalid(m, "member_unwanted", "A %s says nothing of %s.", o.Op, m)
		}
	}
	return o.values()
}

// values checks what an operation says.
func (o *Operation) values() error {
	if !codeForm.MatchString(o.Code) {
		return fault.Invalid("code", "code_syntax", "A code is 1 to 40 letters, digits, dots, dashes or underscores; %.60q is not.", o.Code)
	}
	if o.Op == OpCreate && reserved(o.Code) {
		return fault.Invalid("code", "code_reserved", "The code %s is the name of a tool of Tollbook. Choose another.", o.Code)
	}
	if !printable(o.Name, maxNameBytes) || strings.TrimSpace(o.Name) != o.Name {
		return fault.Invalid("name", "name_length", "A name has 1 to %d bytes on one line and no spaces around it.", maxNameBytes)
	}
	if o.Kind != "" && !slices.Contains(Kinds(), o.Kind) {
		return fault.Invalid("kind", "kind_unknown", "A kind is business_unit, cost_center or project, not %.40q.", string(o.Kind))
	}
	if o.Owner != nil && *o.Owner != "" {
		if _, err := id.ParseMember(*o.Owner); err != nil {
			return fault.Invalid("owner", "owner_absent", "No member has the id %.60q.", *o.Owner)
		}
	}
	for _, text := range []struct {
		field string
		value *string
	}{{"entity", o.Entity}, {"gl_account", o.GLAccount}} {
		if text.value != nil && !plain(*text.value) {
			return fault.Invalid(text.field, "entity_length", "Entity and GL account have at most %d bytes.", maxAccountBytes)
		}
	}
	if err := proven(o.Capitalization, o.Evidence); err != nil {
		return err
	}
	if _, err := NewDimensions(o.Dimensions); err != nil {
		return inside("dimensions", err)
	}
	return o.leaving()
}

// plain tells an entity or account that can stand in a file as it is.
func plain(text string) bool {
	return printable(text, maxAccountBytes) && strings.TrimSpace(text) == text
}

// proven checks a treatment and its evidence: whoever capitalizes says under what
// standard, and which work it is.
func proven(treatment Capitalization, e *Evidence) error {
	if e == nil {
		e = &Evidence{}
	}
	if err := e.Validate(); err != nil {
		return inside("evidence", err)
	}
	switch {
	case treatment != "" && treatment != Capitalize && treatment != Expense:
		return fault.Invalid("capitalization", "capitalization_unknown", "Capitalization is capitalize or expense, not %.40q.", string(treatment))
	case treatment == Capitalize && e.Standard == "":
		return fault.Invalid("evidence.standard", "evidence_missing", "To capitalize, say under what standard.")
	case treatment == Capitalize && e.Category == "":
		return fault.Invalid("evidence.category", "evidence_missing", "To capitalize, say what category of work it is.")
	}
	return nil
}

// inside puts the member before the field of a fault.
func inside(member string, err error) error {
	f, ok := errors.AsType[*fault.Fault](err)
	if !ok {
		return err
	}
	placed := *f
	placed.Field = member + "." + f.Field
	return &placed
}

// leaving checks what is said of a node that retires.
func (o *Operation) leaving() error {
	choices := map[Op][]string{OpMerge: {ChildrenInto, ChildrenStay}, OpRetire: {ChildrenStay, ChildrenRetire}}[o.Op]
	if o.Children != "" && !slices.Contains(choices, o.Children) {
		return fault.Invalid("children", "children_unknown", "The children of a node in a %s: %s; not %.40q.", o.Op, strings.Join(choices, " or "), o.Children)
	}
	if len(o.Nodes) > maxParts || (o.Op == OpSplit && len(o.Nodes) < 2) {
		return fault.Invalid("nodes", "parts_count", "A node is split into 2 to %d new ones.", maxParts)
	}
	for i := range o.Nodes {
		p := &o.Nodes[i]
		part := Operation{
			Op: OpCreate, Code: p.Code, Name: p.Name, Kind: KindCostCenter, Owner: p.Owner, Entity: p.Entity, GLAccount: p.GLAccount,
			Capitalization: p.Capitalization, Evidence: p.Evidence,
		}
		if err := part.Validate(); err != nil {
			return inside("nodes["+strconv.Itoa(i)+"]", err)
		}
	}
	return nil
}
