package witness

import (
	"context"
	"fmt"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
)

// Kind is what sort of a witness somebody is.
type Kind string

// The kinds of witness.
const (
	Object    Kind = "object"    // an object store that keeps a head and lets nobody take it away
	Log       Kind = "log"       // another log, which sees that this one only grows
	Timestamp Kind = "timestamp" // an authority that says when it was shown a head's digest
	Packet    Kind = "packet"    // whoever was sent a packet, which holds the head that seals it
)

// MaxReceipt bounds what a witness answers, in bytes.
const MaxReceipt = 64 << 10

// Head is what a witness is shown.
type Head struct {
	Tenant  id.Tenant
	Size    int64
	Root    auditlog.Hash
	Message []byte // the signed checkpoint
	Before  int64  // the size of the head this witness saw last, as it is known here
	// Prove proves that the log only grew since it had a size.
	Prove func(ctx context.Context, from int64) ([]auditlog.Hash, error)
}

// Receipt is what a witness answered.
type Receipt struct {
	Bytes  []byte // word for word
	Object string // where the witness keeps the head, if that has a name
}

// Held is what a witness keeps of a log, for who asks it: nothing, if it keeps nothing that
// can be read back.
type Held struct {
	Sizes []int64 // of the heads, the smallest first
	Read  func(ctx context.Context, size int64) ([]byte, error)
}

// AheadError tells that a witness has seen a larger log than this one.
type AheadError struct{ Size int64 }

// Error implements error.
func (e *AheadError) Error() string {
	return fmt.Sprintf("it has seen this log with %d records, which are not here", e.Size)
}

// ErrOther tells that a witness has seen another log of this name.
var ErrOther = fault.New(fault.KindInternal, "witness_other", "It has seen another log of this name: what it saw is not how this one goes on.")

// Refuses tells whether an error says that the witness has seen another log, rather than
// that it could not be asked.
func Refuses(err error) bool {
	_, ahead := asAhead(err)
	return ahead || isOther(err)
}
