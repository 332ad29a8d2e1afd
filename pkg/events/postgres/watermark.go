package postgres

// watermark is a low watermark of the outbox: an id at and below which there are no rows
// and none can be committed any more. Without it every query would scan the dead rows
// that the oldest snapshot in the database keeps.
//
// A transaction takes its number before the ids of its rows. So a transaction that may
// still commit a row below one that a move has seen had its number before the next move
// took its own; once all transactions below that one have ended, the watermark rises.
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
