package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pqquic/pqquic/cmd/internal/compare"
)

// write writes the files of a result.
func (o *compareOptions) write(res *compare.Result) error {
	if err := writeFile(o.file(&res.Study, "json"), res.WriteJSON); err != nil {
		return err
	}
	return o.writePage(res)
}

// writePage writes the page and the chart of a result. The page also has the result of the study that the
// result's study names, if its file is in the same folder.
func (o *compareOptions) writePage(res *compare.Result) error {
	var others []*compare.Result
	if name := res.Study.Beside; name != "" {
		other, err := o.read(name)
		if err == nil {
			others = append(others, other)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	page := func(w io.Writer) error { return res.WriteHTML(w, others...) }
	return errors.Join(writeFile(o.file(&res.Study, "html"), page), writeFile(o.file(&res.Study, "svg"), res.WriteSVG))
}

// writePageAgain writes the page and the chart of an earlier run.
func (o *compareOptions) writePageAgain(name string) error {
	res, err := o.read(name)
	if err != nil {
		return err
	}
	return o.writePage(res)
}

// read reads the result of an earlier run.
func (o *compareOptions) read(name string) (*compare.Result, error) {
	path := o.file(&compare.Study{Name: name}, "json")
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	res, err := compare.Read(f)
	if err == nil && res.Study.Name != name {
		err = fmt.Errorf("it has the result of study %q", res.Study.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return res, nil
}

// file returns the name of a study's file.
func (o *compareOptions) file(s *compare.Study, extension string) string {
	return filepath.Join(o.out, filepath.Base(s.Name)+"."+extension)
}

func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
