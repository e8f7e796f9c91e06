using CsCheck;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Core.Tests.Tensors;

public class Crc32CTests
{
    [Fact]
    public void Agrees_with_published_values()
    {
        // RFC 3720, appendix B.4.
        Assert.Equal(0xE3069283u, Crc32C.Compute("123456789"u8));
        Assert.Equal(0x8A9136AAu, Crc32C.Compute(new byte[32]));
        Assert.Equal(0x62A8AB43u, Crc32C.Compute(Enumerable.Repeat((byte)0xFF, 32).ToArray()));
        Assert.Equal(0x46DD794Eu, Crc32C.Compute([.. Enumerable.Range(0, 32).Select(i => (byte)i)]));
        Assert.Equal(0u, Crc32C.Compute([]));
    }

    // Long ones are read in three lanes of 8 KiB.
    [Fact]
    public void Agrees_with_the_definition_at_every_length() =>
        Gen.Select(Gen.OneOf(Gen.Int[0, 200], Gen.Int[24_500, 24_700], Gen.Int[73_700, 73_800]), Gen.Byte).Sample(
            (length, seed) =>
            {
                var bytes = new byte[length];
                new Random(seed).NextBytes(bytes);
                Assert.Equal(BitByBit(bytes), Crc32C.Compute(bytes));
            },
            iter: 60);

    private static uint BitByBit(byte[] bytes)
    {
        var crc = uint.MaxValue;
        foreach (var value in bytes)
        {
            crc ^= value;
            for (var bit = 0; bit < 8; bit++)
            {
                crc = (crc >> 1) ^ ((crc & 1) * 0x82F63B78); // the polynomial, its bits reversed
            }
        }

        return ~crc;
    }
}
