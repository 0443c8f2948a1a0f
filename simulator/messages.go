package simulator

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// exchange is one request to /v1/messages on its way from arrival to the books.
type exchange struct {
	sim    *Simulator
	w      http.ResponseWriter
	http   *http.Request
	serial uint64
	fact   Fact
	knobs  knobs
	req    *request
	reply  reply
	usage  usage // of the finished answer
	unseen int64 // output tokens that no block shows: produced before the first
	booked bool
}

// serveMessages answers POST /v1/messages. Whatever happens after the request was
// understood, its fact is in the books when this returns.
func (s *Simulator) serveMessages(w http.ResponseWriter, r *http.Request) {
	serial, err := s.books.issue()
	if err != nil {
		panic(http.ErrAbortHandler) // without the books there is no answer at all
	}
	ex := &exchange{sim: s, w: w, http: r, serial: serial, knobs: noKnobs()}
	ex.fact = Fact{
		RequestID: makeID("req_", s.seed, serial), OccurredAt: s.now().UTC(), SessionID: sessionOf(r), WorkspaceID: workspaceOf(r),
		Speed: speedStandard, ServiceTier: tierStandard, InferenceGeo: geoGlobal, Status: http.StatusOK,
	}
	s.setIdentity(w, ex.fact.RequestID)
	w.Header().Set("anthropic-workspace-id", cmp.Or(ex.fact.WorkspaceID, s.workspace))
	if wantsBench(r) {
		ex.serveBench()

		return
	}
	if problem := ex.understand(); problem != nil {
		ex.fail(problem)

		return
	}
	defer func() {
		if !ex.booked { // cut, or the client went away: booked with what was produced
			ex.book(false)
		}
	}()
	ex.plan()
	if !pause(r.Context(), ex.knobs.firstByte()) {
		return
	}
	if ex.knobs.dropHead {
		panic(http.ErrAbortHandler)
	}
	if ex.answerElsewhere() {
		return
	}
	if ex.knobs.gzip {
		zipped := newGzipped(ex.w)
		ex.w = zipped
		defer func() { _ = zipped.z.Close() }() // the client's loss
	}
	if ex.req.stream {
		ex.stream()
	} else {
		ex.whole()
	}
}

func sessionOf(r *http.Request) string {
	return cutText(strings.ToValidUTF8(r.Header.Get("X-Claude-Code-Session-Id"), "?"), maxSessionBytes)
}

func workspaceOf(r *http.Request) string {
	return cutText(strings.ToValidUTF8(r.Header.Get("anthropic-workspace-id"), "?"), maxSessionBytes)
}

// takeBuffer lends a buffer for one body.
func (s *Simulator) takeBuffer() *[]byte {
	buf, _ := s.buffers.Get().(*[]byte)

	return buf
}

// returnBuffer keeps buffers of usual size only: one 32 MB body must not stay.
func (s *Simulator) returnBuffer(buf *[]byte) {
	if cap(*buf) <= maxKeptBuffer {
		s.buffers.Put(buf)
	}
}

func (s *Simulator) setIdentity(w http.ResponseWriter, requestID string) {
	h := w.Header()
	h.Set("request-id", requestID)
	h.Set("anthropic-organization-id", s.organ)
}

// understand checks everything the provider checks before it starts, and the knobs.
func (ex *exchange) understand() *apiError {
	if err := ex.knobs.parse(ex.http.Header.Get("x-sim-fault")); err != nil {
		return invalid("%s", err)
	}
	credential, version, problem := checkHeaders(ex.http)
	if credential != "" {
		ex.fact.KeyHint = KeyHint(credential)
	}
	if problem == nil && ex.sim.keyRefused(ex.fact.KeyHint) {
		problem = errorOfStatus(http.StatusUnauthorized)
	}
	if problem != nil {
		return problem
	}
	buf := ex.sim.takeBuffer()
	defer ex.sim.returnBuffer(buf)
	if problem := readBody(ex.w, ex.http, buf); problem != nil {
		return problem
	}
	req, problem := parseRequest(*buf, version, false)
	if req != nil {
		ex.fact.Model = req.model
	}
	if problem != nil {
		return problem
	}
	if ex.sim.retired(req.model, ex.fact.OccurredAt) {
		return &apiError{status: 404, kind: "not_found_error", message: "model: " + req.model}
	}
	ex.req = req

	return ex.applyKnobs()
}

// readBody reads a bounded body into buf. What is decoded from it never aliases it:
// encoding/json copies raw messages.
func readBody(w http.ResponseWriter, r *http.Request, buf *[]byte) *apiError {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		problem := invalid("Content-Encoding %q is not supported", encoding)
		problem.code = "request_body_encoding_unsupported"

		return problem
	}
	body := bytes.NewBuffer((*buf)[:0])
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	*buf = body.Bytes()
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return errorOfStatus(http.StatusRequestEntityTooLarge)
	case err != nil:
		return invalid("The request body could not be read: %v", err)
	}

	return nil
}

// checkHeaders returns the credential presented and the API version.
func checkHeaders(r *http.Request) (credential, version string, problem *apiError) {
	credential = r.Header.Get("x-api-key")
	if bearer, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); credential == "" && found {
		credential = strings.TrimSpace(bearer)
	}
	if credential == "" {
		return "", "", &apiError{status: 401, kind: "authentication_error", message: "x-api-key header is required"}
	}
	if strings.HasPrefix(credential, "sk-bad") {
		return credential, "", errorOfStatus(http.StatusUnauthorized)
	}
	switch version = r.Header.Get("anthropic-version"); version {
	case version2023, version2026:
		return credential, version, nil
	case "":
		return credential, "", invalid("anthropic-version: header is required")
	default:
		return credential, "", invalid("anthropic-version: %q is not a valid version", cutText(version, 40))
	}
}

// applyKnobs adds the prompt's own knobs and the standing faults, and turns those
// that ask for an error into it.
func (ex *exchange) applyKnobs() *apiError {
	t := ex.sim.author.readTurn(ex.req)
	for _, words := range promptKnobs(t.raw) {
		if err := ex.knobs.parse(words); err != nil {
			return invalid("%s", err)
		}
	}
	if ex.knobs.times > 0 {
		key := sha256.Sum256([]byte(ex.fact.SessionID + "\n" + t.raw))
		if ex.sim.times.next(key) >= ex.knobs.times {
			ex.knobs = noKnobs()
		}
	}
	if len(ex.sim.rates.outcomes) > 0 {
		point := rand.New(rand.NewPCG(ex.sim.seed, ex.serial)).Float64()
		if err := ex.knobs.parse(ex.sim.rates.pick(point)); err != nil {
			return invalid("%s", err)
		}
	}
	if strings.Contains(t.raw, refuseWord) && ex.knobs.fallback == "" {
		ex.knobs.fallback = ex.req.fallback
	}
	ex.skew()
	problem, err := ex.knobs.problem(ex.req.promptTokens())
	if err != nil {
		return invalid("%s", err)
	}
	if problem != nil {
		return problem
	}
	ex.reply = ex.sim.author.write(ex.req, t, &ex.knobs, ex.serial)

	return nil
}

// plan fixes what the answer will count and cost when it is finished.
func (ex *exchange) plan() {
	s, f, k := ex.sim, &ex.fact, &ex.knobs
	f.MessageID = makeID("msg_", s.seed, ex.serial)
	requested := servedModel(ex.req.model)
	f.Model = requested
	if k.fallback != "" {
		f.Model = servedModel(k.fallback)
	}
	l, _ := s.prices.listed(f.Model)
	f.Tokens = s.cache.use(ex.req.segments(f.WorkspaceID, f.Model), ex.req.promptTokens(), l.minCache, s.now().UTC())
	f.Refused = ex.reply.stopReason == "refusal" && len(ex.reply.blocks) == 0
	if ex.req.fast && l.sellsFast(f.OccurredAt) {
		f.Speed = speedFast
	}
	if ex.req.us && l.us {
		f.InferenceGeo = geoUS
	}
	if !f.Refused {
		ex.reply.blocks = append(k.extraBlocks(requested, f.Model, toolID(s.seed, ex.serial)), ex.reply.blocks...)
	}
	if k.unknownModel {
		f.Model = "claude-unknown-9"
	}
	ex.force()
	ex.usage = ex.finalUsage()
	ex.addIterations(requested)
	ex.req = &request{stream: ex.req.stream, digest: ex.req.digest} // an open stream must not hold its prompt
}

// force applies the knobs that state a count or a word of usage outright.
func (ex *exchange) force() {
	f, k := &ex.fact, &ex.knobs
	for _, c := range []struct {
		to    *int64
		asked int
	}{
		{&f.Tokens.Input, k.input}, {&f.Tokens.CacheRead, k.read}, {&f.Tokens.CacheWrite5m, k.write5m},
		{&f.Tokens.CacheWrite1h, k.write1h}, {&ex.reply.searches, k.searches},
	} {
		if c.asked != unset {
			*c.to = int64(c.asked)
		}
	}
	f.Tokens.CacheWrite5m += int64(k.grow)
	f.WebSearchRequests = ex.reply.searches
	for _, w := range []struct {
		to    *string
		asked string
	}{{&f.Speed, k.speed}, {&f.InferenceGeo, k.geo}, {&f.ServiceTier, k.tier}} {
		if w.asked != "" {
			*w.to = w.asked
		}
	}
	f.CreditRedeemed = k.credit == "redeemed"
}

// finalUsage is the usage of the finished answer.
func (ex *exchange) finalUsage() usage {
	f, k := &ex.fact, &ex.knobs
	ex.unseen = int64(k.thinkingTokens)
	output := tokensOfBytes(ex.reply.size()) + ex.unseen
	if k.output != unset {
		output = int64(k.output)
		ex.unseen = max(ex.unseen, output-tokensOfBytes(ex.reply.size()))
	}
	u := usage{
		InputTokens: f.Tokens.Input, CacheReadTokens: f.Tokens.CacheRead,
		CacheCreationTokens: f.Tokens.CacheWrite5m + f.Tokens.CacheWrite1h,
		CacheCreation:       &cacheCreation{f.Tokens.CacheWrite5m, f.Tokens.CacheWrite1h},
		OutputTokens:        output,
		OutputDetails:       &outputDetails{ex.reply.thinkingTokens() + int64(k.thinkingTokens)},
		ServiceTier:         f.ServiceTier, Speed: f.Speed, InferenceGeo: f.InferenceGeo, FallbackCredit: creditOf(k.credit),
	}
	if ex.reply.searches > 0 || k.searches == 0 {
		u.ServerToolUse = &serverToolUse{WebSearchRequests: ex.reply.searches}
	}
	if k.unknownField {
		seven := int64(7)
		u.QuantumTokens = &seven
	}

	return u
}

// servedModel resolves the aliases that name no release.
func servedModel(model string) string {
	switch model {
	case "claude-opus-4-5":
		return "claude-opus-4-5-20251101"
	case "claude-sonnet-4-5":
		return "claude-sonnet-4-5-20250929"
	case "claude-haiku-4-5":
		return "claude-haiku-4-5-20251001"
	default:
		return model
	}
}

// book writes the fact. Without the books the connection is cut: an answer that the
// provider does not know about must not exist.
func (ex *exchange) book(complete bool) {
	ex.booked = true
	ex.fact.Complete = complete
	err := ex.sim.complete(&ex.fact)
	if err == nil {
		err = ex.sim.books.append(&ex.fact)
	}
	if err != nil {
		panic(http.ErrAbortHandler)
	}
}

// fail books and answers an error.
func (ex *exchange) fail(problem *apiError) {
	ex.fact.Status = problem.status
	ex.book(true)
	ex.knobs.setRetry(ex.w.Header())
	if !pause(ex.http.Context(), ex.knobs.firstByte()) {
		return
	}
	if ex.knobs.html {
		writePage(ex.w, problem.status)

		return
	}
	writeJSON(ex.w, problem.status, problem.body(ex.fact.RequestID))
}

// whole answers without streaming.
func (ex *exchange) whole() {
	message := ex.message()
	message.Content = make([]json.RawMessage, 0, len(ex.reply.blocks))
	signature := signatureOf(ex.sim.seed, ex.req.digest)
	for i := range ex.reply.blocks {
		message.Content = append(message.Content, ex.reply.blocks[i].encode(false, signature))
	}
	message.StopReason = &ex.reply.stopReason
	message.StopDetails = ex.stopDetails()
	message.Usage = ex.usage
	if ex.knobs.noUsage {
		message.Usage = usage{}
	}
	body := mustJSON(message)
	ex.fact.Tokens.Output += ex.usage.OutputTokens
	if ex.knobs.dropAfter == 0 {
		panic(http.ErrAbortHandler)
	}
	ex.setRates()
	body = ex.knobs.garbleWhole(body)
	ex.w.Header().Set("Content-Type", "application/json")
	ex.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	half := len(body) / 2
	if ex.knobs.dropAfter > 0 || ex.knobs.dropInside > 0 {
		_, _ = io.WriteString(ex.w, body[:half]) // the cut follows whether or not this arrives
		_ = http.NewResponseController(ex.w).Flush()
		panic(http.ErrAbortHandler)
	}
	if ex.knobs.stallMs > 0 {
		_, _ = io.WriteString(ex.w, body[:half]) // who is not there to read is not there for the rest either
		_ = http.NewResponseController(ex.w).Flush()
		if !pause(ex.http.Context(), time.Duration(ex.knobs.stallMs)*time.Millisecond) {
			return
		}
		body = body[half:]
	}
	ex.book(true)
	_, _ = io.WriteString(ex.w, body) // a client that went away was still served
}

func (ex *exchange) message() wireMessage {
	return wireMessage{
		ID: ex.fact.MessageID, Type: "message", Role: "assistant", Model: ex.fact.Model,
		Content: []json.RawMessage{},
	}
}

func (ex *exchange) stopDetails() *stopDetails {
	if ex.reply.stopReason != "refusal" {
		return nil
	}

	return &stopDetails{Type: "refusal", Explanation: "Simulated refusal."}
}

// setRates puts the rate headers of an answer, with those of its speed and tier.
func (ex *exchange) setRates() {
	h := ex.w.Header()
	reset := ex.sim.setRates(h)
	for prefix, applies := range map[string]bool{"Anthropic-Fast": ex.fact.Speed == speedFast, "Anthropic-Priority": ex.fact.ServiceTier == tierPriority} {
		if applies {
			setRate(h, prefix+"-Input-Tokens", "2000000", "1999000", reset)
			setRate(h, prefix+"-Output-Tokens", "400000", "399000", reset)
		}
	}
}

// setRates puts the rate headers of a success, which describe the organization, and
// returns when they start afresh.
func (s *Simulator) setRates(h http.Header) string {
	reset := s.now().UTC().Add(time.Minute).Format(time.RFC3339)
	setRate(h, "Anthropic-Ratelimit-Requests", "4000", "3999", reset)
	setRate(h, "Anthropic-Ratelimit-Tokens", "5000000", "4999000", reset)
	setRate(h, "Anthropic-Ratelimit-Input-Tokens", "4000000", "3999000", reset)
	setRate(h, "Anthropic-Ratelimit-Output-Tokens", "1000000", "999000", reset)

	return reset
}

func setRate(h http.Header, prefix, limit, remaining, reset string) {
	h[prefix+"-Limit"], h[prefix+"-Remaining"], h[prefix+"-Reset"] = []string{limit}, []string{remaining}, []string{reset}
}

// pause waits, or reports false when the client went away first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	body := mustJSON(value)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // the client's loss
}
