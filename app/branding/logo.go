package branding

import (
	"bytes"
	"crypto/sha256"
	"image"
	"image/jpeg"
	"image/png"
	"io"

	"tollbook/app/fault"
)

// The bounds of a logo.
const (
	MaxUpload = 256 << 10 // bytes that are sent
	MaxBytes  = 512 << 10 // bytes that are kept
	MaxSide   = 2000      // pixels
	MinSide   = 16
	MaxPixels = 1_000_000
	// maxScans bounds how often a progressive JPEG goes over its pixels: some ten times is
	// usual, and a file can name thousands.
	maxScans = 64

	jpegQuality = 90
)

// The kinds of pictures that are kept, as they are served.
const (
	TypePNG  = "image/png"
	TypeJPEG = "image/jpeg"
)

// Logo is a picture in the bytes that were made here.
type Logo struct {
	Type          string // TypePNG or TypeJPEG
	Content       []byte
	SHA256        [sha256.Size]byte // of Content
	Width, Height int               // pixels
}

var (
	errLogoLarge  = fault.Invalid("logo", "logo_large", "A logo has at most %d KiB, and %d when it is stored. Send a smaller one.", MaxUpload>>10, MaxBytes>>10)
	errLogoForm   = fault.Invalid("logo", "logo_form", "A logo is a PNG or a JPEG file; this is neither, or it is broken.")
	errLogoPixels = fault.Invalid("logo", "logo_pixels", "A logo has sides of %d to %d pixels and at most %d in all.", MinSide, MaxSide, MaxPixels)
)

// kind is one kind of picture: how its bytes begin, are read and are made.
type kind struct {
	name, magic string
	config      func(io.Reader) (image.Config, error)
	decode      func(io.Reader) (image.Image, error)
	encode      func(io.Writer, image.Image) error
}

func kinds() []kind {
	return []kind{
		{TypePNG, "\x89PNG\r\n\x1a\n", png.DecodeConfig, png.Decode, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode},
		{TypeJPEG, "\xff\xd8\xff", jpeg.DecodeConfig, jpeg.Decode, func(w io.Writer, m image.Image) error {
			return jpeg.Encode(w, m, &jpeg.Options{Quality: jpegQuality})
		}},
	}
}

// ReadLogo makes a logo of bytes that anybody may have sent. What they are is read from
// them alone, and their size before their pixels.
func ReadLogo(sent []byte) (Logo, error) {
	if len(sent) > MaxUpload {
		return Logo{}, errLogoLarge
	}
	for _, k := range kinds() {
		if !bytes.HasPrefix(sent, []byte(k.magic)) {
			continue
		}
		size, err := k.config(bytes.NewReader(sent))
		if err != nil {
			return Logo{}, errLogoForm.Because(err)
		}
		if min(size.Width, size.Height) < MinSide || max(size.Width, size.Height) > MaxSide || size.Width*size.Height > MaxPixels {
			return Logo{}, errLogoPixels
		}
		// Within the pixels of a JPEG these two bytes do not follow each other.
		if k.name == TypeJPEG && bytes.Count(sent, []byte{0xff, 0xda}) > maxScans {
			return Logo{}, errLogoForm
		}
		picture, err := k.decode(bytes.NewReader(sent))
		if err != nil {
			return Logo{}, errLogoForm.Because(err)
		}
		var made bytes.Buffer
		if err := k.encode(&made, picture); err != nil {
			return Logo{}, errLogoForm.Because(err)
		}
		if made.Len() > MaxBytes {
			return Logo{}, errLogoLarge
		}
		return Logo{Type: k.name, Content: made.Bytes(), SHA256: sha256.Sum256(made.Bytes()), Width: size.Width, Height: size.Height}, nil
	}
	return Logo{}, errLogoForm
}
