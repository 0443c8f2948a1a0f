package simulator

import (
	"errors"
	"net/http"
	"strings"
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
	if ex.knobs.deltaMs > 0 {
		s.delay = time.Duration(ex.knobs.deltaMs) * time.Millisecond
	}
	base := ex.fact.Tokens.Output // a compaction's output
	defer func() {
		if !ex.booked {
			ex.fact.Tokens.Output = base + s.produced()
		}
	}()
	h := ex.w.Header()
	ex.setRates()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	ex.w.WriteHeader(http.StatusOK)
	if err := s.run(); err != nil {
		return
	}
	ex.fact.Tokens.Output = base + ex.usage.OutputTokens
	ex.book(!ex.knobs.noFinal)
	if !ex.knobs.noStop && !ex.knobs.noFinal {
		_ = s.send("message_stop", []byte(`{"type":"message_stop"}`)) // booked: the client's loss
	}
}

// produced is the output of an answer that was cut, tokens.
func (s *streamer) produced() int64 {
	if s.deltas == 0 && s.size == 0 {
		return 0
	}

	return min(s.ex.usage.OutputTokens, tokensOfBytes(s.size)+s.ex.unseen)
}

// run sends everything up to and including the final message_delta.
func (s *streamer) run() error {
	ex, k := s.ex, &s.ex.knobs
	if k.sseErrorAfter == 0 {
		ex.fact.Tokens, ex.fact.Iterations = Tokens{}, nil // failed before it began: free
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
	// An answer shorter than a knob asked for is spoiled at its end.
	if s.deltas < k.garbleAfter {
		if err := s.garble(len(ex.reply.blocks)); err != nil {
			return err
		}
	}
	if s.deltas < k.stallAfter {
		if err := s.stall(); err != nil {
			return err
		}
	}
	switch {
	case k.dropAfter != unset || k.dropInside > 0:
		panic(http.ErrAbortHandler)
	case k.sseErrorAfter != unset:
		return s.sendError()
	case k.noFinal:
		return nil
	}

	return s.final()
}

// final sends the message_deltas, all but the last one for knobs.
func (s *streamer) final() error {
	ex, k := s.ex, &s.ex.knobs
	last := messageDelta{Type: "message_delta", Delta: wireDelta{StopReason: ex.reply.stopReason, StopDetails: ex.stopDetails()}}
	if k.hugeFinal {
		last.Padding = strings.Repeat("x", hugeEventBytes)
	}
	if !k.noUsage {
		cumulative := ex.usage
		if !k.deltaSplit {
			cumulative.CacheCreation = nil // the split is only in message_start
		}
		cumulative.ServiceTier, cumulative.Speed, cumulative.InferenceGeo = "", "", ""
		last.Usage = &cumulative
	}
	if k.shrink > 0 && last.Usage != nil {
		more, early := *last.Usage, last
		more.OutputTokens += int64(k.shrink)
		more.InputTokens += int64(k.shrink)
		early.Usage, early.Padding = &more, ""
		if err := s.send("message_delta", []byte(mustJSON(early))); err != nil {
			return err
		}
	}
	body := []byte(mustJSON(last))
	for range 1 + k.repeatDelta {
		if err := s.send("message_delta", body); err != nil {
			return err
		}
	}

	return nil
}

func (s *streamer) start() error {
	k := &s.ex.knobs
	message := s.ex.message()
	message.Usage = s.ex.usage
	message.Usage.OutputTokens = min(1, s.ex.usage.OutputTokens)
	message.Usage.OutputDetails, message.Usage.ServerToolUse, message.Usage.Iterations = nil, nil, nil
	if k.grow > 0 { // not written yet
		message.Usage.CacheCreationTokens -= int64(k.grow)
		split := *message.Usage.CacheCreation
		split.Tokens5m -= int64(k.grow)
		message.Usage.CacheCreation = &split
	}
	body := mustJSON(struct {
		Type    string      `json:"type"`
		Message wireMessage `json:"message"`
	}{"message_start", message})
	if err := s.send("message_start", []byte(body)); err != nil {
		return err
	}
	if k.dropAfter == 0 {
		panic(http.ErrAbortHandler)
	}
	if k.garbleAfter == 0 {
		if err := s.garble(0); err != nil {
			return err
		}
	}
	if k.stallAfter == 0 {
		if err := s.stall(); err != nil {
			return err
		}
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
		return nil // the server's own blocks arrive whole with their start
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
	if s.deltas+1 == knobs.dropInside {
		s.frame = s.frame[:len(s.frame)/2]
		_ = s.flush() // cut either way
		panic(http.ErrAbortHandler)
	}
	if err := s.flush(); err != nil {
		return err
	}
	s.deltas++
	if s.deltas == knobs.garbleAfter {
		if err := s.garble(index); err != nil {
			return err
		}
	}
	if s.deltas == knobs.stallAfter {
		if err := s.stall(); err != nil {
			return err
		}
	}
	if s.deltas == knobs.dropAfter {
		panic(http.ErrAbortHandler)
	}
	if s.deltas == knobs.sseErrorAfter {
		return s.sendError()
	}

	return nil
}

// garble sends the events of knob garble; index is the open block's.
func (s *streamer) garble(index int) error {
	for i, name := range s.ex.knobs.garbles {
		s.frame = append(s.frame[:0], garbled(name, index, len(s.ex.reply.blocks)+i)...)
		if err := s.flush(); err != nil {
			return err
		}
	}

	return nil
}

// stall is silent for as long as knob stall-ms says, but for pings if they are asked for.
func (s *streamer) stall() error {
	left := time.Duration(s.ex.knobs.stallMs) * time.Millisecond
	every := time.Duration(s.ex.knobs.stallPingMs) * time.Millisecond
	for left > 0 {
		step := left
		if every > 0 {
			step = min(left, every)
		}
		if !pause(s.ex.http.Context(), step) {
			return errGone
		}
		if left -= step; left > 0 {
			if err := s.send("ping", []byte(`{"type":"ping"}`)); err != nil {
				return err
			}
		}
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
	frame := s.frame
	if s.ex.knobs.splitData || s.ex.knobs.crlf {
		frame = s.ex.knobs.reshape(frame)
	}
	if _, err := s.ex.w.Write(frame); err != nil {
		return errGone
	}
	if err := s.rc.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return errGone
	}

	return nil
}
