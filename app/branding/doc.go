// Package branding decides what a company may put on its papers.
//
// It owns the reading of a logo and of an accent. It does not own who may set them or
// where they are kept (app, db), nor how they are printed (web).
//
// Invariants: a logo is never the bytes that were sent but the pixels found in them,
// encoded anew, so that nothing but a picture goes out again; it is bounded in bytes and
// pixels before anything is decoded; an accent can be read on paper.
//
// Words: branding (legal name, logo, accent and confidentiality line of what is printed),
// logo, accent, contrast.
package branding
