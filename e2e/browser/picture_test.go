//go:build browser

package browser_test

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// maxPicture is the most bytes of a picture.
const maxPicture = 200 << 10

// picture writes what a screen of this size shows.
func (p *tab) picture(t *testing.T, name string, s size, scheme string) {
	t.Helper()
	if *write == "" {
		return
	}
	p.resize(t, s, scheme)
	p.do(t, `document.activeElement.blur(); document.querySelector("#status").hidden = true; scrollTo(0, 0)`)
	err := chromedp.Do(p.ctx, chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, 1, 1)) // off the buttons
	if err != nil {
		t.Fatal(err)
	}
	screen, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		screen, err = smaller(screen)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(*write, name+".png"), screen, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(screen) > maxPicture {
		t.Errorf("%s has %d bytes, over %d", name, len(screen), maxPicture)
	}
}

// smaller returns a PNG with its 256 most frequent colours only.
func smaller(text []byte) ([]byte, error) {
	full, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	bounds, counts := full.Bounds(), map[color.Color]int{}
	for y := range bounds.Dy() {
		for x := range bounds.Dx() {
			counts[full.At(x, y)]++
		}
	}
	colours := slices.SortedFunc(maps.Keys(counts), func(a, b color.Color) int { return counts[b] - counts[a] })
	few := image.NewPaletted(bounds, colours[:min(len(colours), 256)])
	draw.Draw(few, bounds, full, image.Point{}, draw.Src)
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	err = encoder.Encode(&out, few)
	return out.Bytes(), err
}
