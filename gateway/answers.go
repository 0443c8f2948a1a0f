package gateway

import (
	"net/http"

	"tollbook/gateway/anthropic"
)

// What is kept of answers to be metered is bounded for the whole gateway and for one
// tenant, because the provider a tenant names may be anybody: it must not take the
// others' memory. An answer without room passes all the same, and is billed; only the
// meter does without it, and its row says so.

const (
	// answerRoom is how much of an answer is kept without asking: most are smaller.
	answerRoom = anthropic.Room
	// maxPlainBytes bounds what is kept of a plain answer: the largest are about a
	// megabyte.
	maxPlainBytes = 32 << 20
)

// keepMore takes memory for n bytes more of the answer.
func (x *exchange) keepMore(n int64) bool {
	p := &x.place
	if !take(&p.whole.answers, n, x.g.cfg.MaxAnswersBytes) {
		x.countUnkept()
		return false
	}
	if !take(&p.share.answers, n, x.g.cfg.MaxAnswersBytes/2) {
		p.whole.answers.Add(-n)
		x.countUnkept()
		return false
	}
	x.kept += n
	return true
}

// countUnkept counts the answer once, however often it asks.
func (x *exchange) countUnkept() {
	if !x.unkept {
		x.unkept = true
		x.g.metrics.answersUnkept.Add(1)
	}
}

// forgetAnswer gives the memory back, once.
func (x *exchange) forgetAnswer() {
	if x.kept == 0 {
		return
	}
	x.place.whole.answers.Add(-x.kept)
	x.place.share.answers.Add(-x.kept)
	x.kept = 0
}

// answerCopy is what is kept of a plain answer: all of it, or its last read.
type answerCopy struct {
	x     *exchange
	small *[]byte // of the pool, with room for answerRoom
	bytes []byte
	lost  string // why it is not all of it
}

// keepAnswer begins a copy of x's answer. An error's is not metered: of it the last
// read alone is needed.
func (x *exchange) keepAnswer() answerCopy {
	small, ok := x.g.answers.Get().(*[]byte)
	if !ok {
		panic("a pool holds a stranger")
	}
	c := answerCopy{x: x, small: small, bytes: (*small)[:0]}
	if x.upstream.StatusCode >= http.StatusBadRequest {
		c.lost = "not_billed"
	}
	return c
}

func (c *answerCopy) release() { c.x.g.answers.Put(c.small) }

// add keeps a read and returns the copy of it, which is good until the next.
func (c *answerCopy) add(read []byte) []byte {
	if c.lost != "" || len(c.bytes)+len(read) > cap(c.bytes) && !c.grow(len(c.bytes)+len(read)) {
		c.bytes = (*c.small)[:0]
	}
	c.bytes = append(c.bytes, read...)
	return c.bytes[len(c.bytes)-len(read):]
}

// grow makes room for that many bytes in all, or notes why there is none and gives
// back what there was.
func (c *answerCopy) grow(need int) bool {
	to := min(max(2*cap(c.bytes), need), maxPlainBytes)
	switch {
	case need > maxPlainBytes:
		c.x.countUnkept()
		c.lost = anthropic.ReasonBodyTooLong
	case !c.x.keepMore(int64(to) - c.x.kept):
		c.lost = anthropic.ReasonNoRoom
	default:
		c.bytes = append(make([]byte, 0, to), c.bytes...)
		return true
	}
	c.x.forgetAnswer()
	return false
}
