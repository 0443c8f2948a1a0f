package auditlog

import (
	"context"
	"time"
)

// Provenance is by what somebody did a thing: which session or token, with which roles then,
// since when they were signed in, and from where. It travels with the request that does it,
// so that whoever writes a record need not know it (17 CFR 240.17a-4(f)(2)(i)(A): the
// identity of who, and what else authenticates the record).
type Provenance struct {
	Via        string   // page or api
	Session    string   // opaque id; empty for a token
	Token      string   // opaque id; empty for a session
	Roles      []string // sorted; with the node of a part of the tree behind a colon
	SignedInAt time.Time
	// Source is a keyed hash of the network address: the same source is the same text, and
	// only who holds the master key can test whether an address was it.
	Source string
}

func (o *Provenance) canonical() map[string]any {
	out := map[string]any{"via": o.Via}
	for name, value := range map[string]string{"session": o.Session, "token": o.Token, "source": o.Source} {
		if value != "" {
			out[name] = value
		}
	}
	if len(o.Roles) > 0 {
		out["roles"] = o.Roles
	}
	if !o.SignedInAt.IsZero() {
		out["signed_in_at"] = o.SignedInAt.UTC().Format(time.RFC3339)
	}
	return out
}

type provenanceKey struct{}

// WithProvenance gives what is done under a context its provenance.
func WithProvenance(ctx context.Context, o Provenance) context.Context {
	return context.WithValue(ctx, provenanceKey{}, &o)
}

// ProvenanceOf is the provenance of what is done under a context; nil for what the product itself
// and its command line do.
func ProvenanceOf(ctx context.Context) *Provenance {
	o, _ := ctx.Value(provenanceKey{}).(*Provenance)
	return o
}
