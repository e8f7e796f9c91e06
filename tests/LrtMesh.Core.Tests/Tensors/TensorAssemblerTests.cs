using CsCheck;
using Google.Protobuf;
using LrtMesh.Core.Tensors;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Core.Tests.Tensors;

public class TensorAssemblerTests
{
    private const long Limit = 1 << 20;

    [Fact]
    public void Chunks_are_at_most_512_KiB_share_the_bytes_and_cover_them()
    {
        var bytes = new byte[(2 * TensorChunks.MaximumBytes) + 5];
        new Random(1).NextBytes(bytes);
        var chunks = TensorChunks.Split(3, bytes).ToList();
        Assert.Equal([TensorChunks.MaximumBytes, TensorChunks.MaximumBytes, 5], chunks.Select(c => c.Data.Length));
        Assert.Equal([0UL, TensorChunks.MaximumBytes, 2 * TensorChunks.MaximumBytes], chunks.Select(c => c.Offset));
        Assert.All(chunks, c => Assert.Equal((3u, Crc32C.Compute(c.Data.Span)), (c.Tensor, c.Crc32C)));
        bytes[0] ^= 0xFF;
        Assert.Equal(bytes[0], chunks[0].Data[0]);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    [InlineData(TensorChunks.MaximumBytes / 4 * 2 + 3)]
    public void Floats_become_the_same_chunks_one_at_a_time(int count)
    {
        var values = Ramp(count);
        var whole = TensorChunks.Split(3, TensorCodec.Encode(values, Dtype.Float32));
        Assert.Equal(whole, TensorChunks.Split(3, values).Select(chunk => TensorChunk.Parser.ParseFrom(chunk.ToByteArray())));
    }

    [Theory]
    [InlineData(Dtype.Float32)]
    [InlineData(Dtype.Float16)]
    [InlineData(Dtype.Bfloat16)]
    [InlineData(Dtype.Float64)]
    public void Tensors_come_back_from_any_cut_even_within_an_element(Dtype dtype) =>
        Gen.Select(Gen.Int[0, 40], Gen.Int[0, 40], Gen.Int[1, 13]).Sample((first, second, cut) =>
        {
            float[][] tensors = [Ramp(first), Ramp(second)];
            var assembler = new TensorAssembler([.. tensors.Select(t => TensorCodec.Header(dtype, t.Length))], "block.layers", Limit);
            foreach (var chunk in tensors.SelectMany((t, i) => Cut(i, TensorCodec.Encode(t, dtype), cut)))
            {
                Assert.False(assembler.IsComplete);
                var last = assembler.Add(chunk, "chunk");
                Assert.Equal(chunk.Offset + (ulong)chunk.Data.Length == TensorCodec.Header(dtype, tensors[chunk.Tensor].Length).ByteLength, last);
            }

            Assert.True(assembler.IsComplete);
            Assert.Equal(tensors[0], assembler.Tensor(0, "x"));
            Assert.Equal(tensors[1], assembler.Tensor(1, "x"));
        }, iter: 200);

    [Fact]
    public void A_tensor_of_several_full_chunks_comes_back()
    {
        var values = Ramp((TensorChunks.MaximumBytes / 4 * 2) + 3);
        var assembler = new TensorAssembler([TensorCodec.Header(Dtype.Float32, values.Length)], "headers", Limit);
        foreach (var chunk in TensorChunks.Split(0, TensorCodec.Encode(values, Dtype.Float32)))
        {
            assembler.Add(TensorChunk.Parser.ParseFrom(chunk.ToByteArray()), "chunk");
        }

        Assert.Equal(values, assembler.Tensor(0, "x"));
    }

    [Fact]
    public void The_limit_holds_for_all_tensors_together()
    {
        TensorHeader[] headers = [TensorCodec.Header(Dtype.Float32, 6), TensorCodec.Header(Dtype.Float32, 5)];
        Assert.False(new TensorAssembler(headers, "layers", 11).IsComplete);
        var error = Assert.Throws<LrtMeshException>(() => new TensorAssembler(headers, "layers", 10));
        Assert.Equal("layers[1].shape", error.Violations[0].Field);
    }

    [Fact]
    public void A_huge_announcement_takes_no_memory_before_its_first_chunk()
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        var assembler = new TensorAssembler([TensorCodec.Header(Dtype.Float32, 100_000_000)], "layers", 100_000_000);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100_000);
        Assert.False(assembler.IsComplete);
    }

    [Theory]
    [InlineData(Dtype.Float32)]
    [InlineData(Dtype.Float64)]
    public void A_huge_announcement_of_which_little_comes_takes_little(Dtype dtype)
    {
        var assembler = new TensorAssembler([TensorCodec.Header(dtype, 200_000_000)], "layers", 200_000_000);
        var chunk = TensorChunks.Of(0, new byte[TensorChunks.MaximumBytes], 0);
        var before = GC.GetAllocatedBytesForCurrentThread();
        assembler.Add(chunk, "chunk");
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, TensorChunks.MaximumBytes, TensorChunks.MaximumBytes + 100_000);
    }

    public static TheoryData<string, Action<TensorChunk>> Mistakes => new()
    {
        { "chunk.tensor", c => c.Tensor = 1 },
        { "chunk.tensor", c => c.Tensor = uint.MaxValue },
        { "chunk.offset", c => c.Offset = 4 },
        { "chunk.offset", c => c.Offset = ulong.MaxValue },
        { "chunk.data", c => c.Data = ByteString.Empty },
        { "chunk.data", c => c.Data = ByteString.CopyFrom(new byte[41]) },
        { "chunk.data", c => c.Data = ByteString.CopyFrom(new byte[TensorChunks.MaximumBytes + 1]) },
        { "chunk.crc32c", c => c.Crc32C++ },
    };

    [Theory]
    [MemberData(nameof(Mistakes))]
    public void A_wrong_chunk_is_refused_by_its_field_and_changes_nothing(string field, Action<TensorChunk> mistake)
    {
        var values = Ramp(10);
        var assembler = new TensorAssembler([TensorCodec.Header(Dtype.Float32, 10)], "layers", Limit);
        var good = Assert.Single(TensorChunks.Split(0, TensorCodec.Encode(values, Dtype.Float32)));
        var bad = good.Clone();
        mistake(bad);
        Assert.Equal(field, Assert.Single(Assert.Throws<LrtMeshException>(() => assembler.Add(bad, "chunk")).Violations).Field);
        Assert.Throws<LrtMeshException>(() => assembler.Tensor(0, "layers[0]"));
        Assert.True(assembler.Add(good, "chunk"));
        Assert.Equal("chunk.offset", Assert.Throws<LrtMeshException>(() => assembler.Add(good, "chunk")).Violations[0].Field);
        Assert.Equal(values, assembler.Tensor(0, "layers[0]"));
    }

    /// <summary>Whatever bytes of a valid stream are changed, it is refused or gives the same numbers, and memory stays bounded.</summary>
    [Fact]
    public void A_mutated_stream_is_refused_or_equal()
    {
        var values = Ramp(50);
        byte[][] stream =
        [
            TensorCodec.Header(Dtype.Float32, 10, 5).ToByteArray(),
            .. Cut(0, TensorCodec.Encode(values, Dtype.Float32), 64).Select(c => c.ToByteArray()),
        ];
        Gen.Select(Gen.Int[0, stream.Length - 1], Gen.Int[0, 99], Gen.Byte, Gen.Int[0, 3]).Array[1, 3].Sample(mutations =>
        {
            var mutated = stream.Select(m => m.ToArray()).ToList();
            foreach (var (message, at, value, kind) in mutations)
            {
                var bytes = mutated[message % mutated.Count];
                var index = bytes.Length == 0 ? 0 : at % bytes.Length;
                mutated[message % mutated.Count] = kind switch
                {
                    0 when bytes.Length > 0 => [.. bytes[..index], value, .. bytes[(index + 1)..]],
                    1 => [.. bytes[..index], value, .. bytes[index..]],
                    2 when bytes.Length > 0 => [.. bytes[..index], .. bytes[(index + 1)..]],
                    _ => bytes[..index],
                };
            }

            var before = GC.GetAllocatedBytesForCurrentThread();
            var read = Read(mutated);
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1_000_000);
            Assert.True(read is null || values.SequenceEqual(read), "a damaged stream gave other numbers");
        }, iter: 20_000, threads: 1);
    }

    private static float[]? Read(List<byte[]> stream)
    {
        try
        {
            // 60 elements: a mutated shape may grow a little, never beyond.
            var assembler = new TensorAssembler([TensorHeader.Parser.ParseFrom(stream[0])], "layers", 60);
            foreach (var message in stream.Skip(1))
            {
                assembler.Add(TensorChunk.Parser.ParseFrom(message), "chunk");
            }

            return assembler.Tensor(0, "layers[0]");
        }
        catch (Exception refused) when (refused is LrtMeshException or InvalidProtocolBufferException)
        {
            return null;
        }
    }

    private static float[] Ramp(int length) => [.. Enumerable.Range(0, length).Select(i => (float)((i % 97) - 48))];

    private static IEnumerable<TensorChunk> Cut(int index, byte[] bytes, int size)
    {
        for (var offset = 0; offset < bytes.Length; offset += size)
        {
            var data = bytes.AsSpan(offset, Math.Min(size, bytes.Length - offset));
            yield return new TensorChunk { Tensor = (uint)index, Offset = (ulong)offset, Data = ByteString.CopyFrom(data), Crc32C = Crc32C.Compute(data) };
        }
    }
}
