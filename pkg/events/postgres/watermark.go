package postgres

// watermark is an id of the outbox at and below which nothing is left and nothing
// can come any more. Without it every look would pass over the rows removed
// since the oldest snapshot in the database was taken.
//
// A transaction takes its number before the ids of its rows. A transaction that may still
// commit a row below one that a move has seen had its number before the next move
// took its own; once all numbers below that one are decided, the watermark rises.
type watermark struct {
	id     int64
	seen   int64 // highest id moved; 0 for none since the watermark rose
	before int64 // transactions with rows below seen have lower numbers; 0 while unknown
}

// moved records a move in transaction xact, with rows up to highest, under a
// snapshot in which no transaction below xmin was open. If it was cut, rows
// behind highest were left.
func (w *watermark) moved(highest int64, cut bool, xact, xmin int64) {
	switch {
	case w.seen == 0:
		w.seen = highest
	case w.before == 0:
		w.before = xact
	case xmin >= w.before:
		if cut {
			w.seen = min(w.seen, highest)
		}
		*w = watermark{id: max(w.id, w.seen)}
	}
}
