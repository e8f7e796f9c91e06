using System.Runtime.InteropServices;
using Google.Protobuf;
using LrtMesh.Cli;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Core.Tests.Cli;

public sealed class HiddenStateStreamTests
{
    private static readonly byte[] Row = MemoryMarshal.AsBytes<float>([1, 2]).ToArray();

    private readonly List<byte> _bytes = [];

    [Fact]
    public void Crc_is_castagnoli() => Assert.Equal(0xE3069283, LrtMesh.Client.TensorBytes.Crc32C("123456789"u8));

    [Fact]
    public void A_whole_stream_is_passed_on()
    {
        var stream = Open();
        stream.Take(Rows());
        stream.Take(Chunk(0, Row[..4]));
        stream.Take(Chunk(4, Row[4..]));
        stream.Finish();
        Assert.Equal(Row, _bytes);
    }

    [Fact]
    public void Damage_gaps_and_ends_that_come_early_are_refused()
    {
        var damaged = Chunk(0, Row);
        damaged.Chunk.Crc32C ^= 1;
        Refused("wrong crc32c", Rows(), damaged);
        Refused("out of place", Rows(), Chunk(4, Row[4..]));
        Refused("out of place", Rows(), Chunk(0, [.. Row, 0]));
        Refused("not whole", Rows(), Chunk(0, Row[..4]));
        Refused("not whole", Rows(), Chunk(0, Row[..4]), Rows());
        Refused("out of place", Chunk(0, Row));
        Assert.Empty(_bytes.Skip(12)); // Three halves were good until then; nothing of the others came through.
    }

    [Fact]
    public void A_header_that_does_not_fit_the_request_is_refused_before_its_bytes()
    {
        var wide = Rows();
        wide.Rows.Layers[0].Shape[1] = 1ul << 40;
        Refused("where Float32 [1, 2] was due", wide);
        var uneven = Rows();
        uneven.Rows.Position.Add(1);
        Refused("labels of unequal number", uneven);
        var two = Rows();
        two.Rows.Layers.Add(two.Rows.Layers[0].Clone());
        Refused("2 layers where 1 were asked for", two);
    }

    private void Refused(string says, params ExtractHiddenStatesResponse[] responses)
    {
        var stream = Open();
        var error = Assert.Throws<CommandException>(() =>
        {
            foreach (var response in responses)
            {
                stream.Take(response);
            }

            stream.Finish();
        });
        Assert.Contains(says, error.Message, StringComparison.Ordinal);
    }

    private HiddenStateStream Open()
    {
        var spec = new ExtractionSpec { Layers = { 1 }, Dtype = Dtype.Float32 };
        var stream = new HiddenStateStream(spec, _ => { }, _ => { }, (_, bytes) => _bytes.AddRange(bytes.ToArray()));
        stream.Take(new ExtractHiddenStatesResponse { Started = new ExtractionStarted { Width = 2 } });
        return stream;
    }

    private static ExtractHiddenStatesResponse Rows() => new()
    {
        Rows = new RowBlock
        {
            Sequence = { 0 },
            Position = { 0 },
            TokenId = { 5 },
            CharStart = { 0 },
            CharEnd = { 3 },
            Layers = { new TensorHeader { Dtype = Dtype.Float32, Shape = { 1, 2 }, ByteLength = 8 } },
        },
    };

    private static ExtractHiddenStatesResponse Chunk(ulong offset, byte[] data) => new()
    {
        Chunk = new TensorChunk { Tensor = 0, Offset = offset, Data = ByteString.CopyFrom(data), Crc32C = LrtMesh.Client.TensorBytes.Crc32C(data) },
    };
}
