package storage

// Stats are plain numbers about a store, cheap to ask for.
type Stats struct {
	Blocks, Bytes    int64 // owned
	Files, FileBytes int64 // referenced files known, and their sizes
	Queued           int64 // bytes on their way to the disk
	Free             int64 // bytes free on the disk; -1 if unknown
	Reserve          int64 // bytes of it that are kept free
	Damaged          int   // owned blocks known to be damaged now
	DamageSeen       int64 // damaged reads since the store was opened
	Broken           bool  // nothing more is accepted; Err says why
}

// Stats returns the numbers as of now.
func (s *Store) Stats() Stats {
	t := s.writes.sums()
	now, seen := s.found.counts()
	free, _, err := s.space.free(s.space.dir)
	if err != nil {
		free = -1
	}
	return Stats{
		Blocks: t.Blocks, Bytes: t.Bytes, Files: t.Files, FileBytes: t.FileBytes,
		Queued: s.space.pending.Load(), Free: free, Reserve: s.space.reserve,
		Damaged: now, DamageSeen: seen, Broken: s.broken.Err() != nil,
	}
}
