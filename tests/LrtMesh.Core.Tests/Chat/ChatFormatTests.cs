using LrtMesh.Core.Models.Chat;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Core.Tests.Chat;

/// <summary>Which template of a model's folder is used, and with what.</summary>
public sealed class ChatFormatTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("lrtmesh-chat-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_template_gets_the_special_tokens_messages_and_no_tools()
    {
        Write("tokenizer_config.json", """{"bos_token": {"content": "<s>"}, "eos_token": "</s>", "chat_template": "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ tools is none }}{{ add_generation_prompt }}{{ pad_token is defined }}"}""");
        Assert.Equal("<s>Hi</s>TrueTrueFalse", Render(Chat("Hi")));
        var closed = Chat("Hi");
        closed.AddGenerationPrompt = false;
        Assert.Equal("<s>Hi</s>TrueFalseFalse", Render(closed));
    }

    [Fact]
    public void A_template_file_goes_before_the_configuration()
    {
        Write("tokenizer_config.json", """{"chat_template": "old"}""");
        Write("chat_template.jinja", "new");
        Assert.Equal("new", Render(Chat("Hi")));
    }

    [Fact]
    public void Of_several_templates_the_one_for_tools_is_used_where_there_are_tools()
    {
        Write("tokenizer_config.json", """{"chat_template": [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "{{ tools[0].name }}"}]}""");
        Assert.Equal("plain", Render(Chat("Hi")));
        var tools = Chat("Hi");
        tools.VariablesJson = """{"tools": [{"name": "f"}]}""";
        Assert.Equal("f", Render(tools));
        tools.Template = "default";
        Assert.Equal("plain", Render(tools));
        tools.Template = "rag";
        Assert.Contains("default, tool_use", Assert.Throws<LrtMeshException>(() => Render(tools)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Fields_of_a_message_reach_the_template()
    {
        Write("chat_template.jinja", "{{ messages[0].tool_calls[0].id + 1 }}{{ messages[0].content|map(attribute='text')|join }}");
        var chat = Chat("");
        chat.Messages[0].FieldsJson = """{"tool_calls": [{"id": 12345678901234567890}], "content": [{"text": "a"}, {"text": "b"}]}""";
        Assert.Equal("12345678901234567891ab", Render(chat));
    }

    [Fact]
    public void Bad_chats_are_refused_with_the_reason()
    {
        Refused(Chat("Hi"), ErrorReason.FailedPrecondition, "chat", "no chat template");
        Write("chat_template.jinja", "{% for m in messages %}{% if m.role != 'user' %}{{ raise_exception('Only users here') }}{% endif %}{% endfor %}");
        Refused(new V1.Chat(), ErrorReason.InvalidArgument, "chat.messages", "at least one");
        Refused(new V1.Chat { Messages = { new ChatMessage { Role = "alien", Content = "x" } } }, ErrorReason.InvalidArgument, "chat", "Only users here");
        Refused(new V1.Chat { Messages = { new ChatMessage { Content = "x" } } }, ErrorReason.InvalidArgument, "chat.messages[0].role", "who speaks");
        Refused(new V1.Chat { Messages = { new ChatMessage { Role = "user", Content = "x", FieldsJson = "[" } } }, ErrorReason.InvalidArgument, "chat.messages[0].fields_json", "JSON");
        Refused(new V1.Chat { Messages = { new ChatMessage { Role = "user", Content = "x", FieldsJson = """{"content": 1}""" } } }, ErrorReason.InvalidArgument, "chat.messages[0].fields_json", "content");
        Refused(new V1.Chat { Messages = { new ChatMessage { Role = "user" } }, VariablesJson = "1" }, ErrorReason.InvalidArgument, "chat.variables_json", "object");
        Refused(new V1.Chat { Messages = { new ChatMessage { Role = "user" } }, VariablesJson = """{"x": "\ud800"}""" }, ErrorReason.InvalidArgument, "chat", "half a character");
    }

    [Fact]
    public void A_damaged_template_is_an_error_only_where_it_is_used()
    {
        Write("chat_template.jinja", "{% if %}");
        var format = ChatFormat.Load(_folder);
        var error = Assert.Throws<LrtMeshException>(() => format.Render(Chat("Hi"), addGenerationPrompt: true, "chat"));
        Assert.Equal(ErrorReason.FailedPrecondition, error.Reason);
        Assert.Contains("chat_template.jinja, line 1", error.Message, StringComparison.Ordinal);
    }

    private static V1.Chat Chat(string content) => new() { Messages = { new ChatMessage { Role = "user", Content = content } } };

    private void Refused(V1.Chat chat, ErrorReason reason, string field, string says)
    {
        var error = Assert.Throws<LrtMeshException>(() => Render(chat));
        Assert.Equal(reason, error.Reason);
        var violation = Assert.Single(error.Violations);
        Assert.Equal(field, violation.Field);
        Assert.Contains(says, violation.Description, StringComparison.Ordinal);
    }

    private string Render(V1.Chat chat) => ChatFormat.Load(_folder).Render(chat, addGenerationPrompt: true, "chat");

    private void Write(string name, string text) => File.WriteAllText(Path.Combine(_folder, name), text);
}
