"""The chat templates of the families, written from what their makers document: marks of turns, pictures, thinking."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Chat:
    """What stands around the messages of a chat.

    Args:
        system, user, assistant: before and after a message of this role.
        image: what stands for a picture.
        ask: what opens the answer. begin: what opens the chat.
        switch: the template's argument that decides about thinking; True where it is left out, unless ``usually_off``.
        thinks, thinks_not: what follows ``ask``. user_not: what follows the user's text where thinking is off.
        system_thinks: what opens the system's message where thinking is on.
    """

    system: tuple[str, str]
    user: tuple[str, str]
    assistant: tuple[str, str]
    image: str
    ask: str
    begin: str = ""
    switch: str = ""
    usually_off: bool = False
    thinks: str = ""
    thinks_not: str = ""
    user_not: str = ""
    system_thinks: str = ""

    @property
    def template(self) -> str:
        """The Jinja template."""
        marks = json.dumps({"system": self.system, "user": self.user, "assistant": self.assistant})
        body = (
            "{% set marks = " + marks + " %}{{ " + json.dumps(self.begin) + " }}"
            "{% for message in messages %}{{ marks[message.role][0] }}@SYSTEM@"
            "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
            "{% if part.type == 'image' %}{{ " + json.dumps(self.image) + " }}"
            "{% elif part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}{% endif %}@USER@"
            "{{ marks[message.role][1] }}{% endfor %}"
            "{% if add_generation_prompt %}{{ " + json.dumps(self.ask) + " }}@ANSWER@{% endif %}"
        )
        system = f"{{% if message.role == 'system' and on %}}{{{{ {json.dumps(self.system_thinks)} }}}}{{% endif %}}"
        user = f"{{% if message.role == 'user' and not on %}}{{{{ {json.dumps(self.user_not)} }}}}{{% endif %}}"
        answer = f"{{{{ {json.dumps(self.thinks)} if on else {json.dumps(self.thinks_not)} }}}}"
        if not self.switch:
            return body.replace("@SYSTEM@", "").replace("@USER@", "").replace("@ANSWER@", "")
        usual = "false" if self.usually_off else "true"
        chosen = f"{{% set on = {self.switch} if {self.switch} is defined else {usual} %}}"
        return chosen + body.replace("@SYSTEM@", system).replace("@USER@", user).replace("@ANSWER@", answer)


@dataclass(frozen=True)
class PicturesFirst(Chat):
    """All pictures stand before the conversation, numbered where there are several; other roles are refused."""

    @property
    def template(self) -> str:
        """The Jinja template."""
        marks = json.dumps({"user": self.user, "assistant": self.assistant})
        return (
            "{% set marks = " + marks + " %}{% set seen = namespace(all=0) %}"
            "{% for message in messages %}{% if message.role not in marks %}"
            "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
            "{% if message.content is not string %}{% for part in message.content %}{% if part.type == 'image' %}"
            "{% set seen.all = seen.all + 1 %}{% endif %}{% endfor %}{% endif %}{% endfor %}"
            "{% for number in range(seen.all) %}{% if seen.all > 1 %}Image {{ number + 1 }}{% endif %}"
            "{{ " + json.dumps(self.image) + " }}{% endfor %}"
            "{% for message in messages %}{{ marks[message.role][0] }}{% if message.content is string %}"
            "{{ message.content }}{% else %}{{ message.content | selectattr('type', 'equalto', 'text') "
            "| map(attribute='text') | join(' ') }}{% endif %}{{ marks[message.role][1] }}{% endfor %}"
            "{% if add_generation_prompt %}{{ " + json.dumps(self.ask) + " }}{% endif %}"
        )


_ROLES = ("system", "user", "assistant")


def _im(image: str, **more: object) -> Chat:
    """ChatML, which Qwen made and several families took over."""
    turns = {role: (f"<|im_start|>{role}\n", "<|im_end|>\n") for role in _ROLES}
    return Chat(image=image, ask="<|im_start|>assistant\n", **turns, **more)  # type: ignore[arg-type]


def _thinking(image: str, switch: str = "enable_thinking") -> Chat:
    return _im(image, switch=switch, thinks="<think>\n", thinks_not="<think>\n\n</think>\n\n")


_QWEN = "<|vision_start|><|image_pad|><|vision_end|>"

QWEN = _im(_QWEN)
QWEN_THINKING = _thinking(_QWEN)
INTERNVL = _im("<IMG_CONTEXT>\n")
OVIS = _thinking("<image>\n")
MINICPM = _thinking("<|image_pad|>\n")
LLAVA = Chat(
    system=("<|im_start|>system\n", "<|im_end|>\n"),
    user=("<|im_start|>user ", "<|im_end|>"),
    assistant=("<|im_start|>assistant\n", "<|im_end|>"),
    image="<image>\n",
    ask="<|im_start|>assistant\n",
)
GEMMA3 = Chat(
    begin="<bos>",
    system=("<start_of_turn>user\n", "\n\n<end_of_turn>\n"),
    user=("<start_of_turn>user\n", "<end_of_turn>\n"),
    assistant=("<start_of_turn>model\n", "<end_of_turn>\n"),
    image="<start_of_image>",
    ask="<start_of_turn>model\n",
)
GEMMA4 = Chat(
    begin="<bos>",
    system=("<|turn>system\n", "<turn|>\n"),
    user=("<|turn>user\n", "<turn|>\n"),
    assistant=("<|turn>model\n", "<turn|>\n"),
    image="<|image|>",
    ask="<|turn>model\n",
    switch="enable_thinking",
    usually_off=True,
    system_thinks="<|think|>",
    thinks_not="<|channel>thought\n<channel|>",
)
GLM = Chat(
    begin="[gMASK]<sop>",
    system=("<|system|>\n", ""),
    user=("<|user|>\n", ""),
    assistant=("<|assistant|>\n", ""),
    image="<|begin_of_image|><|image|><|end_of_image|>",
    ask="<|assistant|>\n",
    switch="enable_thinking",
    user_not="/nothink",
    thinks_not="<think></think>\n",
)
MISTRAL = Chat(
    begin="<s>",
    system=("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"),
    user=("[INST]", "[/INST]"),
    assistant=("", "</s>"),
    image="[IMG]",
    ask="",
)
SMOLVLM = Chat(
    begin="<|im_start|>",
    system=("System: ", "<end_of_utterance>\n"),
    user=("User: ", "<end_of_utterance>\n"),
    assistant=("Assistant: ", "<end_of_utterance>\n"),
    image="<image>",
    ask="Assistant:",
)
IDEFICS = Chat(
    begin="<|begin_of_text|>",
    system=("System: ", "<end_of_utterance>\n"),
    user=("User: ", "<end_of_utterance>\n"),
    assistant=("Assistant: ", "<end_of_utterance>\n"),
    image="<image>",
    ask="Assistant:",
)
KIMI = Chat(
    system=("<|im_system|>system<|im_middle|>", "<|im_end|>"),
    user=("<|im_user|>user<|im_middle|>", "<|im_end|>"),
    assistant=("<|im_assistant|>assistant<|im_middle|>", "<|im_end|>"),
    image="<|media_begin|>image<|media_content|><|media_pad|><|media_end|>",
    ask="<|im_assistant|>assistant<|im_middle|>",
    switch="thinking",
    thinks="<think>",
    thinks_not="<think></think>",
)
LLAMA4 = Chat(
    begin="<|begin_of_text|>",
    system=("<|header_start|>system<|header_end|>\n\n", "<|eot|>"),
    user=("<|header_start|>user<|header_end|>\n\n", "<|eot|>"),
    assistant=("<|header_start|>assistant<|header_end|>\n\n", "<|eot|>"),
    image="<|image|>",
    ask="<|header_start|>assistant<|header_end|>\n\n",
)
MOLMO2 = PicturesFirst(
    system=("", ""),
    user=("<|im_start|>user\n", "<|im_end|>\n"),
    assistant=("<|im_start|>assistant\n", "<|im_end|>\n"),
    image="<|image|>",
    ask="<|im_start|>assistant\n",
)
