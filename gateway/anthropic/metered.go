package anthropic

import "tollbook/app/usage"

// Reasons a metering is incomplete. They are stable: they end up in the ledger.
const (
	ReasonNoMessageStart  = "no_message_start"  // no message was seen to begin
	ReasonNoFinalUsage    = "no_final_usage"    // it ended before its final usage
	ReasonUsageMalformed  = "usage_malformed"   // a count was no whole number from 0 to 2^53
	ReasonUsageConflict   = "usage_conflict"    // fields of the usage contradict each other
	ReasonUsageTooLong    = "usage_too_long"    // more usage than is kept or counted
	ReasonEventTooLong    = "event_too_long"    // an event that may carry usage was over 1 MiB
	ReasonNoRoom          = "answer_no_room"    // the gateway had no memory for an event, or an answer, of that size
	ReasonBodyTooLong     = "answer_too_long"   // a plain answer was larger than any that is kept
	ReasonEventMalformed  = "event_malformed"   // an event that carries usage was no JSON
	ReasonStreamError     = "stream_error"      // the provider sent an error instead of the rest
	ReasonMessageRepeated = "message_repeated"  // a second message_start in one stream
	ReasonBodyMalformed   = "body_malformed"    // a plain answer was no JSON object
	ReasonRefusalBilled   = "refusal_with_step" // refused before any output, but a billed step ran
)

// Metered is what was read of one response.
type Metered struct {
	MessageID  string
	StopReason string
	Counts     usage.Counts
	// RawUsage is the provider's usage JSON as last seen, at most 16 KiB; for a
	// stream, message_start's overlaid field by field with each delta's.
	RawUsage []byte
	// Started says a message was seen to begin; Finished that its final usage was.
	Started  bool
	Finished bool
	// Incomplete is why the counts are not final, as Reason constants; empty when
	// they are.
	Incomplete []string
	// OutputBytes is the bytes of text, thinking and tool input seen in deltas:
	// the basis of a floor estimate when the final count never came.
	OutputBytes int64
	// ErrorType is the type inside an SSE error event, if one came.
	ErrorType string
}
