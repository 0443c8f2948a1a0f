package packet

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"tollbook/app/export"
	"tollbook/app/money"
	"tollbook/app/period"
)

// Invoice is one that the provider issued, as it is booked or would be now. A packet of a
// part of the company has none: what it bears is in Figures.Shares.
type Invoice struct {
	ID                        string
	Number                    string
	Revision                  int
	Workspace, Issuer         string
	Reference                 string
	IssuedOn, DueOn, From, To time.Time // UTC days; the cycle is half-open
	Currency                  string
	Lines                     []InvoiceLine
	Total                     money.Cents // with tax
	Ledger                    money.Sum   // charged for the days of its cycle
	Report                    *money.Sum  // the provider's cost report for them; nil: not held against it
	Items                     []Reason    // together Total less Ledger
	Accrued                   money.Cents // booked for its cycle before it
	Booked                    bool
	Entry                     int64       // its number; 0: none
	Residual                  money.Cents // of what is booked: borne by nobody, as nothing explains it
	PaperSHA256               string      // of the document it came with; empty: none
}

// InvoiceLine is one line of an invoice.
type InvoiceLine struct {
	Kind, Description string
	Node              string // the code of who bears it alone; empty: its kind's rule says
	Amount            money.Cents
}

// Reason is why two figures differ, and by how much.
type Reason struct {
	Class  string
	Amount money.Sum
	Why    string
}

// Share is what a node bears of one line of an invoice that is booked.
type Share struct {
	Invoice        string // its number
	Line           int    // from 1
	Kind           string // of the line
	Code, Path     string
	Entity         string
	GLAccount      string
	Capitalization string
	Weight         string // what it is split by, exact
	Amount         money.Cents
}

// Reconciled is one UTC day against what the provider reports of it.
type Reconciled struct {
	Day                        time.Time
	State                      string
	Number                     int64     // of the reconciliation; 0: the day has none
	Ledger                     money.Sum // net
	Listed                     money.Sum // the same at list price
	Billed                     money.Sum // the provider's cost report, net
	ListPrice                  money.Sum // the provider's, at list price
	OurRequests, TheirRequests int64     // theirs by the usage report
	OurTokens, TheirTokens     int64
	Items                      []ReconciledClass // together Billed less Ledger
	Unexplained                money.Sum         // of them, what is unknown
	Bps                        int64             // of all traffic that passed the gateway; -1: there was none
	Open                       int               // variances that are not resolved
	Preparer, Reviewer         *Signature
	Digest                     string
}

// ReconciledClass is what the reconciling items of one class come to.
type ReconciledClass struct {
	Class    string
	Items    int
	Quantity int64 // of tokens
	Amount   money.Sum
}

// Variance is a difference above tolerance, as its latest step has it.
type Variance struct {
	Number              int64
	Day                 time.Time
	Class               string
	Surface, Key, Model string
	Code                string // of the node it is about; empty: all
	State               string
	Amount              money.Sum
	Quantity            int64
	Owner               string // by name; empty: nobody
}

// Signature is a person's, for exactly the figures of a digest.
type Signature struct {
	Name, Role      string
	Issuer, Subject string
	At              time.Time
	Note            string
}

// Step is one of the close's checklist.
type Step struct {
	Step               string
	Owner              string
	Due                time.Time
	Digest             string // hexadecimal, of the figures that were signed; empty: nobody signed it
	Preparer, Reviewer *Signature
	Waived             string // why it does not apply; empty: it does
	WaivedBy           int64  // the change that says so
	Unsigned           bool   // nobody signs it: its figures say it all
}

// Move is one of the month's books from state to state.
type Move struct {
	From, To period.State
	Revision int
	Change   int64
	Name     string
	Reason   string
	At       time.Time
}

// Exported is a journal as it was made for a finance system.
type Exported struct {
	Number         int64
	System, Entity string
	Draft          bool
	Revision       int
	ExternalID     string
	MappingVersion int
	Entries        []int64 // their numbers
	Lines          int
	Total          money.Cents // of debits, and of credits
	Acknowledged   int
	Documents      int // what the system holds as one journal each
	Digest         string
	Files          []string // as they are in the packet
}

// Spend is what passed no gateway and was stated of a node, beside every other figure.
type Spend struct {
	Code, Source, Memo string
	Amount             money.Cents
}

// Corrected names the final revision that a corrected one takes the place of.
type Corrected struct {
	Revision int    `json:"revision"`
	Packet   string `json:"packet"`
	Manifest string `json:"manifest_sha256"`
}

// LeftOut is a file that the packet has no room for.
type LeftOut struct {
	File   string `json:"file"`
	Report string `json:"report"`
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
	Where  string `json:"where"` // it is to be had
}

// Attachment is a file that another part of the product made: it goes in as it is.
type Attachment struct {
	Name          string // in the archive
	Report        string
	ReportVersion int
	Content       []byte `json:"-"`
	Bytes         int
	SHA256        string // hexadecimal, of the content
	Rows          int
	Columns       []string
	ControlTotals []export.Pair
	Journals      []string
	Approvals     []string
	// Kept says where the bytes are stored already; empty: nowhere else.
	Kept string
	// Where the file is to be had if the packet has no room for it.
	Where string
}

// Attach is an attachment of some bytes.
func Attach(a Attachment, content []byte) Attachment {
	digest := sha256.Sum256(content)
	a.Content, a.Bytes, a.SHA256 = content, len(content), hex.EncodeToString(digest[:])
	return a
}
