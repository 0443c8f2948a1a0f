package packet

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// FileFigures is every figure that the other files are laid out from.
const FileFigures = "figures.json"

// documentFormat names the layout of the figures' file: the fields are those of Figures.
const documentFormat = "tollbook figures 1"

type document struct {
	Format  string   `json:"format"`
	Figures *Figures `json:"figures"`
}

// document is the figures as a file, from which every other file that is made here can be
// made again.
func (f *Figures) document() ([]byte, error) {
	content, err := json.Marshal(document{documentFormat, f})
	if err != nil {
		return nil, fmt.Errorf("encode figures: %w", err)
	}
	return append(content, '\n'), nil
}

// readFigures reads a figures' file again; nothing else than it writes is one.
func readFigures(content []byte) (*Figures, error) {
	var d document
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil || d.Format != documentFormat || d.Figures == nil {
		return nil, bad(FileFigures, "it is not the figures of a packet, version 1")
	}
	if again, err := d.Figures.document(); err != nil || !bytes.Equal(again, content) {
		return nil, bad(FileFigures, "it is not written as the figures of a packet are")
	}
	return d.Figures, nil
}
