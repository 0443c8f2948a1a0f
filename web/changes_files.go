package web

import (
	"io"
	"mime"
	"net/http"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/id"
)

// maxFileForm bounds a form with one file.
const maxFileForm = app.MaxAttachment + maxForm

var errFile = fault.Invalid("file", "attachment_upload", "The file did not arrive whole. It has at most 5 MB.")

// attachCase adds a file to a change that waits.
func (w *Web) attachCase(v *visit) error {
	if !v.may("change", "propose") {
		return app.ErrNotAllowed
	}
	change, err := v.changeID()
	if err != nil {
		return err
	}
	file, err := v.attachment()
	if err == nil {
		_, err = w.areas.Approvals.Attach(v.Request().Context(), v.who, change, v.digestForm(v.FormValue("digest")), file)
	}
	if err == nil {
		return v.Redirect(http.StatusSeeOther, "/changes/"+change.String()+"#files")
	}
	return w.retell(v, err, func(t trouble) caseForms { return caseForms{File: t} })
}

// attachment reads the file of a form, whole or not at all.
func (v *visit) attachment() (app.NewAttachment, error) {
	sent, err := v.FormFile("file")
	if err != nil {
		return app.NewAttachment{}, errFile.Because(err)
	}
	opened, err := sent.Open()
	if err != nil {
		return app.NewAttachment{}, errFile.Because(err)
	}
	defer opened.Close()
	content, err := io.ReadAll(io.LimitReader(opened, app.MaxAttachment+1))
	if err != nil {
		return app.NewAttachment{}, errFile.Because(err)
	}
	return app.NewAttachment{Name: sent.Filename, MediaType: sent.Header.Get("Content-Type"), Content: content}, nil
}

// sendAttachment sends a file of a change to keep: no browser shows it in a page of ours.
func (w *Web) sendAttachment(v *visit) error {
	change, err := v.changeID()
	if err != nil {
		return err
	}
	attachment, err := id.ParseAttachment(v.Param("file"))
	if err != nil {
		return errPageAbsent
	}
	file, content, err := w.areas.Approvals.Attachment(v.Request().Context(), v.who, change, attachment)
	if err != nil {
		return err
	}
	v.Response().Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": file.Name}))
	return v.Blob(http.StatusOK, file.MediaType, content)
}
