package work

import "sync"

// Each calls do for 0 to n-1, at most limit of them at once, and returns when
// all have ended: for rooms that start no goroutines of their own. A panic in
// do is the caller's.
func Each(n, limit int, do func(i int)) {
	var (
		all    sync.WaitGroup
		once   sync.Once
		caught any
	)
	places := make(chan struct{}, max(limit, 1))
	for i := range n {
		places <- struct{}{}
		all.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					once.Do(func() { caught = p })
				}
				<-places
			}()
			do(i)
		})
	}
	all.Wait()
	if caught != nil {
		panic(caught)
	}
}
