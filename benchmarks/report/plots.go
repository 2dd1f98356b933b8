package main

import (
	"bytes"
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The plots have logarithmic axes: contenders are a hundred times apart.

// colors can be told apart by people who are colour-blind (Okabe and Ito).
var colors = []color.Color{
	color.RGBA{0x00, 0x72, 0xb2, 0xff}, color.RGBA{0x55, 0x55, 0x55, 0xff}, color.RGBA{0xd5, 0x5e, 0x00, 0xff},
	color.RGBA{0x00, 0x9e, 0x73, 0xff}, color.RGBA{0xcc, 0x79, 0xa7, 0xff},
}

var glyphs = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.BoxGlyph{}, draw.TriangleGlyph{}, draw.RingGlyph{}, draw.PlusGlyph{}}

// series is one kind of dot, or one line.
type series struct {
	name  string
	value func(contender string) (float64, bool)
}

// plot writes all plots for which there is data.
func (d *data) plot(dir string) error {
	for _, p := range []struct{ file, title, prefix string }{
		{"performance-memory.svg", "Time of a request, in memory", "Memory/serial"},
		{"performance-redis.svg", "Time for a request, on Redis, of 64 clients at once", "Redis/parallel"},
	} {
		var list []series
		for _, work := range workloads {
			list = append(list, series{work, func(c string) (float64, bool) { return d.median(p.prefix+"/"+work+"/"+c, "ns/op") }})
		}
		if err := dots(filepath.Join(dir, p.file), p.title, d.contenders(p.prefix+"/read"), list); err != nil {
			return err
		}
	}
	for _, place := range []string{"memory", "redis"} {
		var list []series
		for _, unit := range []string{"p50-ns", "p99-ns", "p99.9-ns"} {
			list = append(list, series{strings.TrimSuffix(unit, "-ns"), func(c string) (float64, bool) { return d.median("HTTP/"+place+"/"+c, unit) }})
		}
		file := filepath.Join(dir, "performance-http-"+place+".svg")
		title := "Time of a signed-in read over HTTP, " + place
		if err := dots(file, title, d.contenders("HTTP/"+place), list); err != nil {
			return err
		}
		if err := d.curves(filepath.Join(dir, "performance-scale-"+place+".svg"), place); err != nil {
			return err
		}
	}
	return nil
}

// dots writes a plot with a row for each contender and a dot for each series.
func dots(file, title string, names []string, list []series) error {
	if len(names) == 0 {
		return nil
	}
	// What a framework takes without sessions is in the tables.
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return strings.HasSuffix(name, "-bare") })
	slices.Reverse(names) // the axis goes upwards
	p := newPlot(title)
	p.X.Label.Text = "logarithmic; to the left is better"
	logarithmic(&p.X, round)
	p.Add(rows())
	for i, s := range list {
		var points plotter.XYs
		for row, name := range names {
			if v, ok := s.value(name); ok && v > 0 {
				points = append(points, plotter.XY{X: v, Y: float64(row)})
			}
		}
		scatter, err := plotter.NewScatter(points)
		if err != nil {
			return err
		}
		scatter.GlyphStyle = draw.GlyphStyle{Color: colors[i], Radius: vg.Points(4), Shape: glyphs[i]}
		p.Add(scatter)
		p.Legend.Add(s.name, scatter)
	}
	p.NominalY(names...)
	p.Y.Min, p.Y.Max = -0.5, float64(len(names))-0.5
	p.X.Max *= 3 // room for the legend
	return save(file, vg.Points(640), vg.Points(float64(90+24*len(names))), func(c draw.Canvas) { p.Draw(c) })
}

// rows are lines along which to find a dot's name.
func rows() *plotter.Grid {
	g := plotter.NewGrid()
	g.Vertical.Color = color.Gray{0xe0}
	g.Horizontal.Color = color.Gray{0xe0}
	return g
}

// curves writes what each number of sessions costs, a panel for each kind of cost.
func (d *data) curves(file, place string) error {
	panels := [][]struct{ unit, title string }{
		{{"B/session", "bytes per session"}, {"ns/lookup", "lookup"}, {"ns/gc", "garbage collection"}},
		{{"ns/stall", "longest read while half is freed"}, {"ns/list", "list one user"}, {"ns/revoke", "revoke one user"}},
	}
	names := d.contendersOfScale(place)
	if len(names) == 0 {
		return nil
	}
	plots := make([][]*plot.Plot, len(panels))
	for i, row := range panels {
		for _, panel := range row {
			p, err := d.panel(place, panel.unit, panel.title, names)
			if err != nil {
				return err
			}
			plots[i] = append(plots[i], p)
		}
	}
	return save(file, vg.Points(1020), vg.Points(600), func(c draw.Canvas) {
		tiles := draw.Tiles{Rows: 2, Cols: 3, PadX: vg.Points(14), PadY: vg.Points(14)}
		for i, row := range plot.Align(plots, tiles, c) {
			for j, canvas := range row {
				plots[i][j].Draw(canvas)
			}
		}
	})
}

func (d *data) panel(place, unit, title string, names []string) (*plot.Plot, error) {
	p, label := newPlot(title), plain
	if strings.HasPrefix(unit, "ns/") {
		label = round
	}
	p.X.Label.Text = "sessions"
	logarithmic(&p.X, plain)
	logarithmic(&p.Y, label)
	p.Add(rows())
	drawn := 0
	for i, name := range names {
		var points plotter.XYs
		for _, n := range d.sizes(place) {
			if v, ok := d.median(fmt.Sprintf("Scale/%s/%s/n=%d", place, name, n), unit); ok && v > 0 {
				points = append(points, plotter.XY{X: float64(n), Y: v})
			}
		}
		if len(points) == 0 {
			continue
		}
		drawn++
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width = colors[i%len(colors)], vg.Points(1.5)
		dots.GlyphStyle = draw.GlyphStyle{Color: line.Color, Radius: vg.Points(3), Shape: glyphs[i%len(glyphs)]}
		p.Add(line, dots)
		p.Legend.Add(name, line, dots)
	}
	if drawn == 0 {
		p.Title.Text += ": not measured"
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 1, 10, 1, 10
	}
	p.Legend.Top, p.Legend.Left = true, true
	// Room for a line that is nearly level, and for the legend above it.
	p.Y.Min, p.Y.Max = p.Y.Min/2, p.Y.Max*8
	return p, nil
}

func newPlot(title string) *plot.Plot {
	p := plot.New()
	p.Title.Text = title
	p.Title.Padding = vg.Points(6)
	p.BackgroundColor = color.White
	for _, style := range []*text.Style{&p.Title.TextStyle, &p.X.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle} {
		style.Font.Variant = "Sans"
	}
	p.Title.TextStyle.Font.Size, p.Legend.Padding = vg.Points(13), vg.Points(2)
	return p
}

// logarithmic makes an axis logarithmic, with numbers that people read.
func logarithmic(a *plot.Axis, label func(float64) string) {
	a.Scale = plot.LogScale{}
	a.Tick.Marker = ticks(label)
}

// round is nanos without the zeros that a power of ten has.
func round(v float64) string {
	number, unit, _ := strings.Cut(nanos(v), " ")
	if strings.Contains(number, ".") {
		number = strings.TrimRight(strings.TrimRight(number, "0"), ".")
	}
	return number + " " + unit
}

type ticks func(float64) string

// Ticks implements plot.Ticker: gonum's marks with our numbers.
func (label ticks) Ticks(low, high float64) []plot.Tick {
	marks := plot.LogTicks{Prec: -1}.Ticks(low, high)
	for i := range marks {
		if marks[i].Label != "" {
			marks[i].Label = label(marks[i].Value)
		}
	}
	return marks
}

func save(file string, w, h vg.Length, paint func(draw.Canvas)) error {
	canvas := vgsvg.New(w, h)
	const margin = 14
	paint(draw.Crop(draw.New(canvas), margin, -margin, margin, -margin))
	var svg bytes.Buffer
	if _, err := canvas.WriteTo(&svg); err != nil {
		return err
	}
	// Not everybody has gonum's font; Arial is as wide.
	data := bytes.ReplaceAll(svg.Bytes(), []byte("font-family:Liberation Sans"), []byte("font-family:Liberation Sans,Arial,sans-serif"))
	return os.WriteFile(file, data, 0o644)
}
