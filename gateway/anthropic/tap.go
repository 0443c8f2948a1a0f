package anthropic

import (
	"bytes"
)

// Bounds of the tap's memory, in bytes.
const (
	maxEvent = 1 << 20 // of an event that may carry usage
	maxBlock = 4 << 10 // of a delta, or the start of a block: longer ones are only counted
	maxSniff = 40      // of an event's data before its type is looked at
	maxKept  = Room
)

// Room is how many bytes of one event a tap with Limit keeps before it asks.
const Room = 32 << 10

// mode is what is done with the data of the event being read.
type mode uint8

const (
	modeSniff mode = iota // its first bytes are not all there
	modeSkip              // it cannot carry usage
	modeDelta             // a content_block_delta, kept up to maxBlock
	modeBlock             // a content_block_start, kept up to maxBlock
	modeKeep              // it may carry usage: it is kept up to maxEvent
)

// field is what the line being read is.
type field uint8

const (
	fieldNone  field = iota // its name is not all there
	fieldOther              // a comment, or a field that does not matter
	fieldName               // event:
	fieldData               // data:
)

// Tap meters a stream of server-sent events beside its bytes, which it does not
// keep. The zero value is ready. It is not safe for concurrent use.
type Tap struct {
	reading reading

	begun   bool // a byte was seen: no byte order mark any more
	swallow bool // the last line ended in \r: a \n belongs to it
	line    field
	first   bool // the next byte of the field's value may be the one space to drop
	head    [8]byte
	headLen int
	name    [24]byte // the event's name; cut names match none that matters
	nameLen int

	mode    mode
	lines   int    // data lines of this event
	data    []byte // of this event, as far as it is kept
	total   int64  // bytes of its data, kept or not
	limit   int    // of data; 0 for maxEvent
	stopped bool
}

// Reset makes the tap ready for another stream, keeping its memory unless one
// event made that large.
func (t *Tap) Reset() {
	data, meter := t.data, t.reading.meter
	if cap(data) > maxKept {
		data = nil
	}
	meter.reset()
	*t = Tap{data: data[:0]}
	t.reading.meter = meter
}

// Limit keeps the tap to Room for an event until it is allowed more.
func (t *Tap) Limit() { t.limit = Room }

// Lacks is how many bytes a limited tap has to be allowed to be sure to keep the next n
// bytes of the stream; nearly always 0. Without them it may have to do without the
// event, and says so.
func (t *Tap) Lacks(n int) int {
	need := len(t.data) + n
	if need <= t.limit || t.limit == 0 || t.limit == maxEvent || t.mode == modeSkip {
		return 0
	}
	return min(max(2*t.limit, need), maxEvent) - t.limit
}

// Allow lets a limited tap keep that many bytes more.
func (t *Tap) Allow(more int) {
	t.limit += more
	t.data = append(make([]byte, 0, t.limit), t.data...)
}

// Stopped reports that the data line of message_stop is complete. A client
// cannot have acted on that event before the line's end was passed on, so the
// read that turned this true is the one to hold.
func (t *Tap) Stopped() bool { return t.stopped }

// Metered returns what was read so far.
func (t *Tap) Metered() Metered { return t.reading.metered() }

// Write reads the next bytes of the stream, in any portions. It keeps no
// reference to p.
func (t *Tap) Write(p []byte) {
	for len(p) > 0 && !t.stopped {
		if t.swallow {
			t.swallow = false
			if p[0] == '\n' {
				p = p[1:]
				continue
			}
		}
		if end := lineEnd(p); end >= 0 {
			t.piece(p[:end])
			t.endLine()
			t.swallow = p[end] == '\r'
			p = p[end+1:]
			continue
		}
		t.piece(p)
		return
	}
}

// lineEnd finds the first \n or \r.
func lineEnd(p []byte) int {
	end := bytes.IndexByte(p, '\n')
	if end >= 0 {
		p = p[:end]
	}
	if cr := bytes.IndexByte(p, '\r'); cr >= 0 {
		return cr
	}
	return end
}

// piece takes a part of a line, without its end.
func (t *Tap) piece(b []byte) {
	if t.line == fieldNone {
		b = t.field(b)
	}
	if len(b) == 0 || t.line == fieldNone || t.line == fieldOther {
		return
	}
	if t.first {
		t.first = false
		if b[0] == ' ' {
			b = b[1:]
		}
	}
	if t.line == fieldName {
		t.nameLen += copy(t.name[t.nameLen:], b)
		return
	}
	t.take(b)
}

// field gathers the line's beginning until it is known what the line is, and
// returns what of b comes after the field's name and colon.
func (t *Tap) field(b []byte) []byte {
	if t.headLen == 0 && len(b) >= 5 && string(b[:5]) == "data:" { // all of it is here, as nearly always
		t.line, t.first = fieldData, true
		t.open()
		return b[5:]
	}
	for i, c := range b {
		if c == ':' {
			t.line, t.first = t.known(), true
			t.open()
			return b[i+1:]
		}
		if t.headLen == len(t.head) {
			t.line = fieldOther
			return nil
		}
		t.head[t.headLen] = c
		t.headLen++
	}
	return nil
}

// known reads the field's name.
func (t *Tap) known() field {
	name := t.head[:t.headLen]
	if !t.begun {
		name = bytes.TrimPrefix(name, []byte("\xef\xbb\xbf")) // a byte order mark is not part of the stream
	}
	switch string(name) {
	case "data":
		return fieldData
	case "event":
		return fieldName
	}
	return fieldOther
}

// open begins a line whose field is known.
func (t *Tap) open() {
	switch t.line {
	case fieldName:
		t.nameLen = 0 // the last name counts
	case fieldData:
		if t.lines++; t.lines > 1 {
			t.take([]byte("\n")) // lines of data are joined by it
		}
	case fieldNone, fieldOther:
	}
}

// endLine closes the line; an empty one closes the event.
func (t *Tap) endLine() {
	switch {
	case t.line == fieldNone && t.empty():
		t.dispatch()
	case t.line == fieldNone: // a field without a colon has an empty value
		t.line = t.known()
		t.open()
		fallthrough
	default:
		if t.line == fieldData {
			t.endData()
		}
	}
	t.begun = true
	t.line, t.first, t.headLen = fieldNone, false, 0
}

// empty says whether the line that ends has nothing on it.
func (t *Tap) empty() bool {
	return t.headLen == 0 || !t.begun && string(t.head[:t.headLen]) == "\xef\xbb\xbf"
}

// take takes a part of the event's data.
func (t *Tap) take(b []byte) {
	t.total += int64(len(b))
	if t.mode == modeSniff {
		n := min(len(b), maxSniff-len(t.data))
		t.data = append(t.data, b[:n]...)
		b = b[n:]
		if len(t.data) < maxSniff {
			return
		}
		t.sniff()
	}
	switch t.mode {
	case modeKeep:
		if len(t.data)+len(b) > maxEvent {
			t.reading.meter.because(ReasonEventTooLong)
			t.mode = modeSkip
			return
		}
		if t.limit > 0 && len(t.data)+len(b) > t.limit {
			t.reading.meter.because(ReasonNoRoom)
			t.mode = modeSkip
			return
		}
		t.data = append(t.data, b...)
	case modeBlock, modeDelta:
		t.data = append(t.data, b[:min(len(b), maxBlock-len(t.data))]...)
	case modeSkip, modeSniff:
	}
}

// endData ends one line of data.
func (t *Tap) endData() {
	if t.mode == modeSniff {
		t.sniff()
	}
	if t.mode != modeKeep || len(t.data) > maxBlock {
		return
	}
	named := string(t.name[:t.nameLen]) == "message_stop"
	if named || bytes.Contains(t.data, []byte("message_stop")) && t.kind() == "message_stop" {
		t.stop()
	}
}

// stop notes message_stop. What comes after it is no part of the message.
func (t *Tap) stop() {
	t.stopped = true
	t.reading.end()
}

// sniff decides by the first bytes of its data what becomes of an event. The
// provider writes the type first; data that begins in any other way is kept and
// parsed.
func (t *Tap) sniff() {
	t.mode = modeKeep
	rest, found := bytes.CutPrefix(t.data, []byte(`{"type":"`))
	end := bytes.IndexByte(rest, '"')
	if !found || end < 0 {
		return
	}
	switch string(rest[:end]) {
	case "content_block_delta":
		t.mode = modeDelta
	case "content_block_start":
		t.mode = modeBlock
	case "content_block_stop", "ping":
		t.mode = modeSkip
	}
}

// dispatch ends the event.
func (t *Tap) dispatch() {
	if t.lines > 0 {
		t.event()
	}
	t.mode, t.lines, t.total, t.nameLen = modeSniff, 0, 0, 0
	t.data = t.data[:0]
}
