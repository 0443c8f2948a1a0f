package erp

import (
	"bytes"
	"encoding/csv"
	"fmt"

	"github.com/xuri/excelize/v2"
)

// spreadsheet puts rows into the one sheet of a workbook, every cell as text. The library
// gives its parts a fixed time and order, so that the same rows are the same bytes.
func spreadsheet(_ *Journal, content []byte) ([]byte, error) {
	rows, err := csv.NewReader(bytes.NewReader(content)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read rows: %w", err)
	}
	book := excelize.NewFile()
	defer book.Close()
	sheet, err := book.NewStreamWriter(book.GetSheetName(0))
	if err != nil {
		return nil, fmt.Errorf("open sheet: %w", err)
	}
	for i, row := range rows {
		cells := make([]any, len(row))
		for k, text := range row {
			if text != "" {
				cells[k] = text
			}
		}
		if err := sheet.SetRow(fmt.Sprintf("A%d", i+1), cells); err != nil {
			return nil, fmt.Errorf("write row %d: %w", i+1, err)
		}
	}
	if err := sheet.Flush(); err != nil {
		return nil, fmt.Errorf("write sheet: %w", err)
	}
	var out bytes.Buffer
	if err := book.Write(&out); err != nil {
		return nil, fmt.Errorf("write workbook: %w", err)
	}
	return out.Bytes(), nil
}
