package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"tollbook/app"
	"tollbook/app/attribution"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/usage"
	"tollbook/gateway/anthropic"
	"tollbook/gateway/journal"
)

// exchange is one request on its way: what is known of it at each step.
type exchange struct {
	g        *Gateway
	w        http.ResponseWriter
	r        *http.Request
	event    id.Event
	tenant   *app.TenantSnapshot
	key      *app.SnapshotKey
	body     *body
	request  anthropic.Request
	answer   attribution.Answer
	intent   *intent
	written  journal.Position // the intent's, synced while the upstream works
	outcome  outcome
	settled  bool
	drain    *drain
	upstream *http.Response
	headed   bool // the client has the answer's head
	place    place
	bodies   atomic.Int64 // bytes of the body that count as held
	steps    atomic.Int32 // of two: the body is sent, the provider has answered
	answered int64        // bytes read of the answer
	kept     int64        // bytes of the answer that count as held
	unkept   bool         // there was no room for them
	patience time.Time    // until when the client may leave what was written unread
}

// messages serves one billed request, straight down (DESIGN section 6).
func (g *Gateway) messages(c echo.Context) error {
	x := &exchange{g: g, w: c.Response().Writer, r: c.Request(), event: id.NewEvent(g.cfg.Now())}
	if err := x.admit(c.Param("tenant")); err != nil {
		x.discardBody()
		g.refuse(c, err, x.event)
		return nil
	}
	if err := x.pace(); err != nil {
		x.discardBody()
		g.refuse(c, err, x.event)
		return nil
	}
	if err := x.enterBilled(); err != nil {
		x.discardBody()
		g.refuse(c, err, x.event)
		return nil
	}
	defer x.leave()
	if err := x.read(); err != nil {
		g.refuse(c, err, x.event)
		return nil
	}
	if err := x.attribute(); err != nil {
		x.body.release()
		g.refuse(c, err, x.event)
		return nil
	}
	if err := x.intend(); err != nil {
		x.body.release()
		g.refuse(c, err, x.event)
		return nil
	}
	defer x.record()
	defer x.settleLost()
	x.drain = g.watch(x.r.Context())
	defer x.drain.end()
	if err := x.send(); err != nil {
		g.refuse(c, x.unsent(err), x.event)
		return nil
	}
	defer x.upstream.Body.Close()
	x.passed()
	x.relay()
	return nil
}

// admit finds the tenant and the key in the snapshot. An unknown tenant and a wrong
// key get the same answer: who is a customer is nobody's business.
func (x *exchange) admit(slug string) error {
	snapshot := x.g.snapshots.Current()
	if x.g.cfg.Now().Sub(snapshot.LoadedAt) > x.g.cfg.StaleAfter {
		return errStale
	}
	tenant := snapshot.Tenants[slug]
	if tenant == nil {
		return errKey
	}
	for _, presentedKey := range presented(x.r.Header) {
		if key, ok := x.g.snapshots.Find(tenant, presentedKey); ok {
			x.tenant, x.key = tenant, key
			switch {
			case tenant.Suspended:
				return errSuspended
			case tenant.Upstream == nil:
				return errNoUpstream
			case tenant.Circular:
				return errLoop
			}
			return nil
		}
	}
	return errKey
}

// read takes the whole body once and looks at its top-level keys.
func (x *exchange) read() error {
	if encoding := x.r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		x.discardBody()
		return errEncoded
	}
	taken, err := x.takeBody()
	if err != nil {
		return err
	}
	x.body = taken
	x.request, err = anthropic.ScanRequest(taken.bytes())
	if err == nil && !x.key.Models.Allow(x.request.Model) {
		err = fault.Invalid("model", "model_denied", "model %.100q is not one this key may use. It may use: %s. Choose one with /model, or ask whoever issued the key.", x.request.Model, x.key.Models)
	}
	if err != nil {
		taken.release()
	}
	return err
}

// attribute decides once, from the numbered snapshot, where the request goes, and
// reads what it declares about itself.
func (x *exchange) attribute() error {
	h := x.r.Header
	tags, err := usage.ParseTags(h.Get("X-Tollbook-Tags"))
	if err != nil {
		return err
	}
	project, err := usage.ParseLabel("x-tollbook-project", h.Get("X-Tollbook-Project"))
	if err != nil {
		return err
	}
	developer, err := usage.ParseLabel("x-tollbook-developer", h.Get("X-Tollbook-Developer"))
	if err != nil {
		return err
	}
	x.intent = &intent{
		Tenant: x.tenant.ID, Key: x.key.ID, Model: usage.Clip(x.request.Model, 200), Snapshot: x.tenant.Number, Project: project, Tags: tags, Bytes: int64(len(x.body.bytes())), MaxTokens: x.request.MaxTokens,
		Session: usage.Clip(h.Get("X-Claude-Code-Session-Id"), 100), Agent: usage.Clip(h.Get("X-Claude-Code-Agent-Id"), 100),
		Parent: usage.Clip(h.Get("X-Claude-Code-Parent-Agent-Id"), 100), Class: usage.Clip(h.Get("X-Claude-Code-Request-Class"), 40),
	}
	switch {
	case !x.key.Developer.IsZero(): // whoever it declares, it is who signed in
		x.intent.Developer, x.intent.Label, x.intent.Verified = x.key.Developer, x.key.Label, true
	case developer != "":
		x.intent.Developer, x.intent.Label = x.g.labels.find(x.tenant, developer)
	}
	return x.decide(x.g.cfg.Now())
}

// decide says where the request is charged if it begins at an instant. What it is
// told is what its row will have, so that the row answers why.
func (x *exchange) decide(at time.Time) error {
	in := x.intent
	var err error
	x.answer, err = x.tenant.Attribute(x.key, &attribution.Request{Project: in.Project, Model: in.Model, Tags: in.Tags, At: at})
	if err != nil {
		return fmt.Errorf("attribute request: %w", err)
	}
	in.Shares, in.Rule, in.Version, in.Change = x.answer.Shares, string(x.answer.Rule), x.answer.Version, x.answer.Change
	return nil
}

// intend writes the intent and starts its sync, which goes on while the upstream
// works. The tenant's number is taken under a lock with the write, so that a
// refused write leaves no gap. The event's id is minted here and not when the request
// came: a client may take minutes to send its body, and this gateway says meanwhile
// that the ledger has all that began before.
func (x *exchange) intend() error {
	found, _ := x.g.sequences.LoadOrStore(x.tenant.ID, &sequence{})
	numbers, ok := found.(*sequence)
	if !ok {
		return errors.New("number request: not a sequence")
	}
	numbers.Lock()
	defer numbers.Unlock()
	x.event = id.NewEvent(x.g.cfg.Now())
	if x.key.Asked.Timed() { // by the instant that its row will have
		if err := x.decide(x.event.Time()); err != nil {
			return err
		}
	}
	x.intent.Sequence = numbers.last + 1
	payload, err := encodeIntent(x.intent)
	if err != nil {
		return err
	}
	position, err := x.g.journal.AppendIntent(x.event.Bytes(), payload)
	if err != nil {
		return x.g.journalFailed(fmt.Errorf("write intent: %w", err))
	}
	numbers.last++
	x.g.metrics.admit(x.intent)
	x.written = position
	x.g.syncSoon()
	return nil
}

// send makes the one round trip. It outlives the client: what the provider starts,
// it bills.
func (x *exchange) send() error {
	target := *x.tenant.Upstream
	target.Path += "/v1/messages"
	target.RawQuery = x.r.URL.RawQuery
	request := &http.Request{
		Method: http.MethodPost, URL: &target, Host: target.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: upstreamHeaders(x.r.Header, x.tenant.Credential), Body: x.body.reader(), ContentLength: int64(len(x.body.bytes())),
	}
	x.outcome.SentAt = x.g.cfg.Now().UTC()
	ctx := traced(x.drain.ctx, len(x.body.bytes()), x.sent)
	response, err := x.g.upstream.RoundTrip(request.WithContext(ctx)) //nolint:bodyclose // messages closes it when relayed
	if err != nil {
		return err
	}
	x.upstream = response
	x.outcome.FirstAt = x.g.cfg.Now().UTC()
	x.outcome.Status = response.StatusCode
	x.outcome.RequestID = usage.Clip(response.Header.Get("Request-Id"), 100)
	return nil
}

// unsent settles a request that got no answer and says what the client is told. If
// the provider was never reached nothing was billed; otherwise nobody knows, and
// reconciliation will tell.
func (x *exchange) unsent(cause error) error {
	var dial *net.OpError
	x.outcome.State, x.outcome.Status = usage.StateIncomplete, http.StatusBadGateway
	x.outcome.Flags = []string{"upstream_dropped"}
	x.outcome.Counts.Model = x.intent.Model // what was asked for is the best that is known
	switch {
	case errors.As(cause, &dial) && dial.Op == "dial":
		x.outcome.State, x.outcome.Flags = usage.StateError, []string{"upstream_unreachable"}
	case x.r.Context().Err() != nil:
		x.outcome.State, x.outcome.Status, x.outcome.Flags = usage.StateEstimated, statusClientGone, []string{"client_gone"}
	}
	x.g.cfg.Log.WarnContext(x.r.Context(), "no answer from the provider", "request_id", x.event.String(), "error", said(cause))
	if err := x.settle(); err != nil {
		return err
	}
	return errUpstream
}

// statusClientGone is nginx's word for a client that closed first; it is recorded,
// never sent.
const statusClientGone = 499

// settle makes the outcome durable, once, and hands the request to the flusher. An
// error means the client must not see the end of its answer.
func (x *exchange) settle() error {
	if x.settled {
		return nil
	}
	x.settled = true
	x.outcome.EndedAt = x.g.cfg.Now().UTC()
	payload, err := encodeOutcome(&x.outcome)
	if err != nil {
		return x.unrecorded(err)
	}
	position, err := x.g.journal.AppendOutcome(x.event.Bytes(), payload)
	if err != nil {
		return x.unrecorded(fmt.Errorf("write outcome of %s: %w", x.event, err))
	}
	// The intent was written before: this sync covers it too.
	if err := x.g.journal.Sync(context.WithoutCancel(x.r.Context()), position); err != nil {
		return x.unrecorded(fmt.Errorf("sync outcome of %s: %w", x.event, err))
	}
	x.g.metrics.settled(x.event.Time(), &x.outcome)
	x.g.flusher.add(x.tenant.ID, event(x.event, x.g.replica, x.intent, &x.outcome))
	return nil
}

// journalFailed logs what an operator has to know at once.
func (g *Gateway) journalFailed(err error) error {
	g.metrics.journalFailures.Add(1)
	if errors.Is(err, journal.ErrFull) || errors.Is(err, journal.ErrNoSpace) {
		if now := time.Now().Unix(); now-g.saidFull.Swap(now) > sayFullEvery {
			g.cfg.Log.Error("the journal has no room; requests are refused until it has", "error", err)
		}
		return err
	}
	if errors.Is(err, journal.ErrFailed) || errors.Is(err, journal.ErrClosed) {
		g.failed.Store(true)
	}
	g.cfg.Log.Error("the journal cannot be written; answers are cut", "error", err)
	return fault.New(fault.KindUnavailable, "journal_failed", "The gateway cannot record requests right now.").Because(err)
}

// drain lets a request outlive its client for a bounded time, within a bounded
// number of such requests.
type drain struct {
	ctx    context.Context //nolint:containedctx // it is the upstream request's own context
	cancel context.CancelFunc
	stop   func() bool
}

// watch detaches the upstream from the client. When the client leaves, the upstream
// may go on for DrainFor if a drain is free, and is cut at once if none is.
func (g *Gateway) watch(client context.Context) *drain {
	ctx, cancel := context.WithCancel(context.WithoutCancel(client))
	d := &drain{ctx: ctx, cancel: cancel}
	d.stop = context.AfterFunc(client, func() {
		select {
		case g.drains <- struct{}{}:
			defer func() { <-g.drains }()
			timer := time.NewTimer(g.cfg.DrainFor)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-g.leaving:
			case <-ctx.Done():
			}
		default:
			g.metrics.drainsRefused.Add(1)
		}
		cancel()
	})
	return d
}

func (d *drain) end() {
	d.stop()
	d.cancel()
}
