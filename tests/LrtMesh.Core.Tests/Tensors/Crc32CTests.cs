using LrtMesh.Core.Tensors;
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
}
