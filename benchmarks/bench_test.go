package benchmarks

import "testing"

func BenchmarkMemorySerial(b *testing.B)   { memoryContests(b, "Memory/serial", 1) }
func BenchmarkMemoryParallel(b *testing.B) { memoryContests(b, "Memory/parallel", 64) }
func BenchmarkRedisSerial(b *testing.B)    { redisContests(b, "Redis/serial", 1) }
func BenchmarkRedisParallel(b *testing.B)  { redisContests(b, "Redis/parallel", 64) }

func memoryContests(b *testing.B, name string, clients int) {
	for _, work := range workloads {
		b.Run(work.name, func(b *testing.B) {
			contest(b, name, inMemory(), work, clients, func(e *entrant) { *e = *enter(b, e.contender, work, clients) })
		})
	}
}

func redisContests(b *testing.B, name string, clients int) {
	for _, work := range workloads {
		b.Run(work.name, func(b *testing.B) {
			client := connect(b)
			contest(b, name, onRedis(b, client), work, clients, func(*entrant) { must(b, client.FlushAll(b.Context()).Err()) })
		})
	}
}
