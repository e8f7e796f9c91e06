namespace LrtMesh.Client;

/// <summary>Content in place of another's: of the same headers, and of no length that is known before it is sent.</summary>
internal abstract class WrappedContent : HttpContent
{
    /// <param name="content">The other; it is disposed of with this one.</param>
    protected WrappedContent(HttpContent content)
    {
        Content = content;
        foreach (var header in content.Headers)
        {
            Headers.TryAddWithoutValidation(header.Key, header.Value);
        }
    }

    /// <summary>The other.</summary>
    protected HttpContent Content { get; }

    protected override bool TryComputeLength(out long length)
    {
        length = 0;
        return false;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            Content.Dispose();
        }

        base.Dispose(disposing);
    }
}
