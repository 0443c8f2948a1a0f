package erp

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// keyed is a short id for fields that have no room for an external id: "TB" and the first
// digits of its digest. Letters and digits only.
func keyed(id string, length int) string {
	digest := sha256.Sum256([]byte(id))
	return "TB" + strings.ToUpper(hex.EncodeToString(digest[:]))[:length-2]
}

// encode writes rows as RFC 4180 with CRLF, UTF-8 without a byte order mark.
func encode(rows [][]string) ([]byte, error) {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	w.UseCRLF = true
	if err := w.WriteAll(rows); err != nil {
		return nil, fmt.Errorf("encode rows: %w", err)
	}
	return out.Bytes(), nil
}

// layouts are the ways a date may be written, in the words of the systems' own settings.
func layouts() map[string]string {
	return map[string]string{
		"MM/DD/YYYY": "01/02/2006", "M/D/YYYY": "1/2/2006", "DD/MM/YYYY": "02/01/2006", "D/M/YYYY": "2/1/2006", "DD MMM YYYY": "02 Jan 2006",
		"DD-MMM-YYYY": "02-Jan-2006", "DD.MM.YYYY": "02.01.2006", "MM-DD-YYYY": "01-02-2006", "DD-MM-YYYY": "02-01-2006",
		"YYYY-MM-DD": "2006-01-02", "YYYY/MM/DD": "2006/01/02", "YYYYMMDD": "20060102",
	}
}

func dateFormats() []string { return slices.Sorted(maps.Keys(layouts())) }

// How long keys are: where there is little room, and where there is more.
const (
	shortKey = 16
	longKey  = 30
)
