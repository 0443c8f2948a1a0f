package simulator

import (
	"errors"
	"net/http"
	"time"
	"unicode/utf8"
)

// chunkBytes is the usual length of one delta.
const chunkBytes = 24

// errGone ends a stream whose client no longer listens.
var errGone = errors.New("client is gone")

// streamer sends one answer event by event and knows how much of it has left.
type streamer struct {
	ex     *exchange
	rc     *http.ResponseController
	frame  []byte
	delay  time.Duration
	deltas int   // sent so far, of any kind
	size   int64 // bytes of answer produced so far
	sent   int64 // of those, counted for finished blocks
}

// stream sends the answer as server-sent events. The fact is in the books before
// message_stop is written.
func (ex *exchange) stream() {
	s := &streamer{ex: ex, rc: http.NewResponseController(ex.w), delay: ex.sim.delay}
	if ex.knobs.delta > 0 {
		s.delay = ex.knobs.delta
	}
	base := ex.fact.Tokens.Output // a compaction's output
	defer func() {
		if !ex.booked {
			ex.fact.Tokens.Output = base + tokensOfBytes(s.size)
		}
	}()
	h := ex.w.Header()
	ex.sim.setRates(h)
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	ex.w.WriteHeader(http.StatusOK)
	if err := s.run(); err != nil {
		return
	}
	ex.fact.Tokens.Output = base + ex.usage.OutputTokens
	ex.book(true)
	_ = s.send("message_stop", []byte(`{"type":"message_stop"}`)) // booked: the client's loss
}

// run sends everything up to and including the final message_delta.
func (s *streamer) run() error {
	ex := s.ex
	if ex.knobs.sseErrorAfter == 0 {
		ex.fact.Tokens = Tokens{} // failed before it began: free
		ex.fact.WebSearchRequests = 0

		return s.sendError()
	}
	if err := s.start(); err != nil {
		return err
	}
	for i := range ex.reply.blocks {
		if err := s.block(i, &ex.reply.blocks[i]); err != nil {
			return err
		}
	}
	switch { // an answer shorter than the knob asked for is cut at its end
	case ex.knobs.dropAfter != unset:
		panic(http.ErrAbortHandler)
	case ex.knobs.sseErrorAfter != unset:
		return s.sendError()
	}
	final := messageDelta{Type: "message_delta", Delta: wireDelta{StopReason: ex.reply.stopReason, StopDetails: ex.stopDetails()}}
	if !ex.knobs.noUsage {
		cumulative := ex.usage
		cumulative.CacheCreation = nil // the split is only in message_start
		cumulative.ServiceTier, cumulative.Speed, cumulative.InferenceGeo = "", "", ""
		final.Usage = &cumulative
	}

	return s.send("message_delta", []byte(mustJSON(final)))
}

func (s *streamer) start() error {
	message := s.ex.message()
	message.Usage = s.ex.usage
	message.Usage.OutputTokens = min(1, s.ex.usage.OutputTokens)
	message.Usage.OutputDetails, message.Usage.ServerToolUse, message.Usage.Iterations = nil, nil, nil
	body := mustJSON(struct {
		Type    string      `json:"type"`
		Message wireMessage `json:"message"`
	}{"message_start", message})
	if err := s.send("message_start", []byte(body)); err != nil {
		return err
	}
	if s.ex.knobs.dropAfter == 0 {
		panic(http.ErrAbortHandler)
	}

	return s.send("ping", []byte(`{"type":"ping"}`))
}

// block sends one content block: start, deltas, stop.
func (s *streamer) block(index int, b *replyBlock) error {
	body := append([]byte(nil), `{"type":"content_block_start","index":`...)
	body = appendInt(body, index)
	body = append(body, `,"content_block":`...)
	body = append(body, b.encode(true, "")...)
	body = append(body, '}')
	if err := s.send("content_block_start", body); err != nil {
		return err
	}
	s.size += int64(len(b.name))
	if err := s.deltasOf(index, b); err != nil {
		return err
	}
	s.sent += b.size()
	s.size = s.sent
	stop := append(appendInt([]byte(`{"type":"content_block_stop","index":`), index), '}')

	return s.send("content_block_stop", stop)
}

func (s *streamer) deltasOf(index int, b *replyBlock) error {
	switch b.kind {
	case blockThinking:
		if b.hidden {
			s.size += int64(len(b.text))
		} else if err := s.pieces(index, "thinking_delta", "thinking", b.text, 0); err != nil {
			return err
		}

		return s.delta(index, "signature_delta", "signature", signatureOf(s.ex.sim.seed, s.ex.req.digest), 0)
	case blockToolUse, blockServerToolUse:
		if err := s.delta(index, "input_json_delta", "partial_json", "", 0); err != nil {
			return err
		}

		return s.pieces(index, "input_json_delta", "partial_json", b.text, 0)
	case blockText:
		return s.pieces(index, "text_delta", "text", b.text, max(0, s.ex.knobs.deltas))
	default:
		return nil // a search result arrives whole with its start
	}
}

// pieces sends text in count deltas, or in as many as its length suggests.
func (s *streamer) pieces(index int, kind, member, text string, count int) error {
	if count == 0 {
		count = (len(text) + chunkBytes - 1) / chunkBytes
	}
	from := 0
	for i := range count {
		to := (i + 1) * len(text) / count
		for to < len(text) && !utf8.RuneStart(text[to]) {
			to++
		}
		to = max(to, from)
		if err := s.delta(index, kind, member, text[from:to], int64(to-from)); err != nil {
			return err
		}
		from = to
	}

	return nil
}

// delta sends one delta; the pauses and the cuts between deltas happen here.
func (s *streamer) delta(index int, kind, member, text string, size int64) error {
	knobs := &s.ex.knobs
	if s.deltas > 0 && !pause(s.ex.http.Context(), s.delay) {
		return errGone
	}
	if err := s.ex.http.Context().Err(); err != nil {
		return errGone
	}
	s.size += size
	s.frame = appendDelta(s.frame[:0], index, kind, member, text)
	if err := s.flush(); err != nil {
		return err
	}
	s.deltas++
	if s.deltas == knobs.dropAfter {
		panic(http.ErrAbortHandler)
	}
	if s.deltas == knobs.sseErrorAfter {
		return s.sendError()
	}

	return nil
}

// sendError sends the error event that a provider in trouble ends a stream with.
func (s *streamer) sendError() error {
	problem := errorOfStatus(529)
	_ = s.send("error", []byte(mustJSON(problem.body("")))) // over either way

	return errGone
}

func (s *streamer) send(event string, body []byte) error {
	s.frame = appendEvent(s.frame[:0], event, body)

	return s.flush()
}

func (s *streamer) flush() error {
	if _, err := s.ex.w.Write(s.frame); err != nil {
		return errGone
	}
	if err := s.rc.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return errGone
	}

	return nil
}
