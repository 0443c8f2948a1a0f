package closing

import (
	"fmt"
	"strconv"
	"strings"

	"tollbook/app/money"
)

// Disputed is what owners say is another's, of a month's charges.
type Disputed struct {
	Raised  int
	Amount  money.Sum // of what stands
	Numbers []int64   // of what stands
	Digest  string    // over all of them
}

// DisputeFacts are those of the step disputes: what stands keeps no month from being locked,
// and is on record with what was signed.
func DisputeFacts(d *Disputed) Facts {
	f := Facts{Step: StepDisputes}
	f.count("disputes_raised", int64(d.Raised))
	f.count("disputes_open", int64(len(d.Numbers)))
	f.dollars("disputed_usd", &d.Amount)
	var numbers []string
	for _, n := range d.Numbers {
		numbers = append(numbers, strconv.FormatInt(n, 10))
	}
	if len(numbers) > 0 {
		f.text("open_disputes", list(numbers))
	}
	f.text("disputes_sha256", d.Digest)
	return f
}

// Commented is what owners of nodes were asked about a month, and answered.
type Commented struct {
	Asked, Accepted int
	Owing           []string // codes of nodes of which no answer came
	Stale           []string // whose answer is about other figures than there are now
	Unasked         int      // above the threshold, and nobody was asked
	Digest          string   // over all that was said
	MustAnswer      bool     // a month is not locked before they have
}

// CommentaryFacts are those of the step commentary.
func CommentaryFacts(c *Commented) Facts {
	f := Facts{Step: StepCommentary}
	f.count("commentary_asked", int64(c.Asked))
	f.count("commentary_owed", int64(len(c.Owing)))
	f.count("commentary_accepted", int64(c.Accepted))
	f.count("commentary_stale", int64(len(c.Stale)))
	f.count("nodes_not_asked", int64(c.Unasked))
	f.text("commentary_sha256", c.Digest)
	switch {
	case len(c.Owing) > 0 && c.MustAnswer:
		f.blockf("commentary", "%s no commentary, which was asked for: %s.", countWords(int64(len(c.Owing)), "node has", "nodes have"), list(c.Owing))
	case len(c.Owing) > 0:
		f.Asks = fmt.Sprintf("Commentary was asked for and not given (%s): say why the month can be closed without it.", list(c.Owing))
	case len(c.Stale) > 0:
		f.Asks = fmt.Sprintf("Commentary is about other figures than there are now (%s): say why it still holds.", strings.TrimSpace(list(c.Stale)))
	}
	return f
}
