package notary

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Log is a witness by C2SP tlog-witness.
type Log struct {
	name string
	key  ed25519.PrivateKey
	now  func() time.Time

	mu      sync.Mutex
	watched map[string][]ed25519.PublicKey // by origin
	seen    map[string]head
}

type head struct {
	size uint64
	root [32]byte
}

// NewLog makes a witness with a key of its own.
func NewLog(name string, now func() time.Time) (*Log, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return &Log{name: name, key: key, now: now, watched: map[string][]ed25519.PublicKey{}, seen: map[string]head{}}, err
}

// Key is the witness' verifier key, as C2SP's signed-note writes it.
func (l *Log) Key() string {
	raw := append([]byte{4}, l.key.Public().(ed25519.PublicKey)...) //nolint:forcetypeassert // an Ed25519 key's
	return fmt.Sprintf("%s+%08x+%s", l.name, keyID(l.name, raw), base64.StdEncoding.EncodeToString(raw))
}

func keyID(name string, raw []byte) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n"), raw...))
	return binary.BigEndian.Uint32(sum[:4])
}

var errKey = errors.New("no verifier key of an Ed25519 log")

// Watch makes the witness know a log by its verifier key; it may have several.
func (l *Log) Watch(verifier string) error {
	parts := strings.SplitN(verifier, "+", 3)
	if len(parts) != 3 {
		return errKey
	}
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(raw) != 33 || raw[0] != 1 {
		return errKey
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watched[parts[0]] = append(l.watched[parts[0]], ed25519.PublicKey(raw[1:]))
	return nil
}

// Size is how many records the witness has seen of a log.
func (l *Log) Size(origin string) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen[origin].size
}

// ServeHTTP answers POST add-checkpoint.
func (l *Log) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/add-checkpoint") {
		http.NotFound(w, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err != nil {
		http.Error(w, "too long", http.StatusRequestEntityTooLarge)
		return
	}
	ask, err := read(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	status, answer := l.add(ask)
	if status == http.StatusConflict {
		w.Header().Set("Content-Type", "text/x.tlog.size")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer)
}

// request is what is asked: a head after an old size, with a proof.
type request struct {
	old        uint64
	proof      [][32]byte
	note       string
	origin     string
	size       uint64
	root       [32]byte
	signatures []string
}

var errBody = errors.New("the body is no request of an add-checkpoint")

func read(body []byte) (ask request, err error) {
	first, note, ok := strings.Cut(string(body), "\n\n")
	lines := strings.Split(first, "\n")
	number, named := strings.CutPrefix(lines[0], "old ")
	if !ok || !named || len(lines) > 64 {
		return ask, errBody
	}
	if ask.old, err = strconv.ParseUint(number, 10, 64); err != nil {
		return ask, errBody
	}
	for _, line := range lines[1:] {
		hash, err := hash32(line)
		if err != nil {
			return ask, err
		}
		ask.proof = append(ask.proof, hash)
	}
	text, signed, ok := strings.Cut(note, "\n\n")
	parts := strings.Split(text, "\n")
	if !ok || len(parts) < 3 {
		return ask, errBody
	}
	ask.note, ask.origin = text+"\n", parts[0]
	if ask.size, err = strconv.ParseUint(parts[1], 10, 64); err != nil {
		return ask, errBody
	}
	ask.root, err = hash32(parts[2])
	ask.signatures = strings.Split(strings.TrimSuffix(signed, "\n"), "\n")
	return ask, err
}

func hash32(text string) (hash [32]byte, err error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != 32 {
		return hash, errBody
	}
	return [32]byte(raw), nil
}

func (l *Log) add(ask request) (status int, answer string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	keys, known := l.watched[ask.origin]
	last := l.seen[ask.origin]
	switch {
	case !known:
		return http.StatusNotFound, "unknown origin\n"
	case !signedBy(&ask, keys):
		return http.StatusForbidden, "no signature of a key of this log\n"
	case ask.old > ask.size:
		return http.StatusBadRequest, "the old size is larger\n"
	case ask.old != last.size, ask.old == ask.size && last.root != ask.root:
		return http.StatusConflict, strconv.FormatUint(last.size, 10) + "\n"
	case !grew(last, head{ask.size, ask.root}, ask.proof):
		return http.StatusUnprocessableEntity, "the proof does not lead there\n"
	}
	l.seen[ask.origin] = head{ask.size, ask.root}
	return http.StatusOK, l.cosign(ask.note)
}

func (l *Log) cosign(text string) string {
	at := l.now().Unix()
	signature := ed25519.Sign(l.key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, text))
	raw := append([]byte{4}, l.key.Public().(ed25519.PublicKey)...) //nolint:forcetypeassert // an Ed25519 key's
	blob := binary.BigEndian.AppendUint32(nil, keyID(l.name, raw))
	blob = binary.BigEndian.AppendUint64(blob, uint64(at))
	return "— " + l.name + " " + base64.StdEncoding.EncodeToString(append(blob, signature...)) + "\n"
}

func signedBy(ask *request, keys []ed25519.PublicKey) bool {
	for _, line := range ask.signatures {
		text, found := strings.CutPrefix(line, "— "+ask.origin+" ")
		blob, err := base64.StdEncoding.DecodeString(text)
		if !found || err != nil || len(blob) != 4+ed25519.SignatureSize {
			continue
		}
		for _, key := range keys {
			if ed25519.Verify(key, []byte(ask.note), blob[4:]) {
				return true
			}
		}
	}
	return false
}

// grew is RFC 9162, section 2.1.4.2, in its own words.
func grew(first, second head, proof [][32]byte) bool {
	switch {
	case first.size == second.size:
		return first.root == second.root && len(proof) == 0
	case first.size == 0:
		return len(proof) == 0
	case len(proof) == 0 || first.size > second.size:
		return false
	}
	path := proof
	if bits.OnesCount64(first.size) == 1 {
		path = append([][32]byte{first.root}, path...)
	}
	fn, sn := first.size-1, second.size-1
	for fn&1 == 1 {
		fn, sn = fn>>1, sn>>1
	}
	fr, sr := path[0], path[0]
	for _, c := range path[1:] {
		if sn == 0 {
			return false
		}
		if fn&1 == 1 || fn == sn {
			fr, sr = pair(c, fr), pair(c, sr)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			sr = pair(sr, c)
		}
		fn, sn = fn>>1, sn>>1
	}
	return fr == first.root && sr == second.root && sn == 0
}

func pair(left, right [32]byte) [32]byte {
	return sha256.Sum256(bytes.Join([][]byte{{1}, left[:], right[:]}, nil))
}
