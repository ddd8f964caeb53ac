package stats

import "maps"

// Merge adds what a driver counted in a later interval to s. Counts add up; the final mark and values that
// describe a moment are taken from o. The time and the sampled fields of s stay.
func (s *Sample) Merge(o *Sample) {
	s.Connections += o.Connections
	s.Accept += o.Accept
	s.Completed += o.Completed
	s.Resumed += o.Resumed
	s.ConnectTime.Merge(o.ConnectTime)
	s.Allocs.Merge(o.Allocs)
	s.Reallocs.Merge(o.Reallocs)
	s.Deallocs.Merge(o.Deallocs)
	mergeStats(&s.Send, o.Send)
	mergeStats(&s.Receive, o.Receive)
	mergeProfiles(&s.Profiles, o.Profiles)
	mergeProfiles(&s.Latency, o.Latency)
	for class, n := range o.Failed {
		if s.Failed == nil {
			s.Failed = make(map[string]int64)
		}
		s.Failed[class] += n
	}
	if o.Provenance != nil {
		s.Provenance = o.Provenance
	}
	s.Notes = append(s.Notes, o.Notes...)
	s.Final = s.Final || o.Final
}

func mergeStats(to *map[string]Stat, from map[string]Stat) {
	if *to == nil && len(from) > 0 {
		*to = maps.Clone(from)
		return
	}
	for k, v := range from {
		sum := (*to)[k]
		sum.Merge(v)
		(*to)[k] = sum
	}
}

func mergeProfiles(to *map[string]*Profile, from map[string]*Profile) {
	for k, p := range from {
		if *to == nil {
			*to = make(map[string]*Profile)
		}
		if (*to)[k] == nil {
			(*to)[k] = new(Profile)
		}
		(*to)[k].Merge(p)
	}
}

// Merge adds another distribution.
func (p *Profile) Merge(o *Profile) {
	p.Stat.Merge(o.Stat)
	merged := make([]Bucket, 0, max(len(p.Buckets), len(o.Buckets)))
	a, b := p.Buckets, o.Buckets
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && less(a[0], b[0]):
			merged, a = append(merged, a[0]), a[1:]
		case len(a) == 0 || less(b[0], a[0]):
			merged, b = append(merged, b[0]), b[1:]
		default:
			both := a[0]
			both.Count += b[0].Count
			merged, a, b = append(merged, both), a[1:], b[1:]
		}
	}
	p.Buckets = merged
}

func less(a, b Bucket) bool {
	return a.Lower < b.Lower || a.Lower == b.Lower && a.Upper < b.Upper
}

// Quantile estimates the value below which the share q (0 to 1) of the distribution lies. Values are
// assumed to lie evenly within a bucket. A distribution without buckets has only a mean: ok is false.
func (p *Profile) Quantile(q float64) (value float64, ok bool) {
	var total float64
	for _, b := range p.Buckets {
		total += float64(b.Count)
	}
	if total == 0 {
		return 0, false
	}
	rank := q * total
	var below float64
	for _, b := range p.Buckets {
		n := float64(b.Count)
		if n > 0 && below+n >= rank {
			return float64(b.Lower) + (rank-below)/n*float64(b.Upper-b.Lower), true
		}
		below += n
	}
	last := p.Buckets[len(p.Buckets)-1]
	return float64(last.Upper), true
}
