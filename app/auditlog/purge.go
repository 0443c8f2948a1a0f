package auditlog

// Purge is what the record of a purge says: whole rows of a class and month are gone, and
// what they were is left as a digest.
type Purge struct {
	Class      string `json:"class"` // usage, audit, notices or sessions
	Month      string `json:"month"` // as 2018-11
	Number     int64  `json:"number"`
	Change     string `json:"change"`
	Rows       int64  `json:"rows"`
	Requests   int64  `json:"requests"`
	ChargePico string `json:"charge_pico"`
	First      int64  `json:"first_sequence"`
	Last       int64  `json:"last_sequence"`
	// Digest is the SHA-256 over the roots of the batches, or the leaves of the records, in
	// the order of the log.
	Digest string `json:"digest"`
}
