"""An agent of one of the frameworks, run with that framework's packages: `agents_at_work.py NAME URL [streamed]`.

Asks twice, the second time with the first conversation before it, and prints both answers as JSON.
"""

# mypy: ignore-errors

import asyncio
import json
import sys

NAME, URL, *FURTHER = sys.argv[1:]
STREAMED = bool(FURTHER)
QUESTIONS = ("How is the weather?", "And the weather tomorrow?")


def get_weather(city: str) -> str:
    """Weather of a city.

    Args:
        city: the city
    """
    return f"sunny in {city}"


async def openai_agents() -> list[str]:
    from agents import Agent, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
    from openai import AsyncOpenAI

    set_tracing_disabled(True)
    model = OpenAIResponsesModel("any", AsyncOpenAI(base_url=f"{URL}/v1", api_key="none"))
    agent = Agent(name="a", model=model, tools=[function_tool(get_weather)])
    history, answers = [], []
    for question in QUESTIONS:
        history = [*history, {"role": "user", "content": question}]
        if STREAMED:
            run = Runner.run_streamed(agent, history)
            _ = [event async for event in run.stream_events()]
        else:
            run = await Runner.run(agent, history)
        history = run.to_input_list()
        answers.append(run.final_output)
    return answers


async def pydantic_ai() -> list[str]:
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIResponsesModel, OpenAIResponsesModelSettings
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIResponsesModel("any", provider=OpenAIProvider(base_url=f"{URL}/v1", api_key="none"))
    agent = Agent(model, model_settings=OpenAIResponsesModelSettings(openai_send_reasoning_ids=True))
    agent.tool_plain(get_weather)
    history, answers = [], []
    for question in QUESTIONS:
        run = await agent.run(question, message_history=history)
        history = run.all_messages()
        answers.append(run.output)
    return answers


async def langchain() -> list[str]:
    from langchain_core.messages import HumanMessage, ToolMessage
    from langchain_openai import ChatOpenAI

    chat = ChatOpenAI(model="any", base_url=f"{URL}/v1", api_key="none", use_responses_api=True)
    model = chat.bind_tools([get_weather])
    history, answers = [], []
    for question in QUESTIONS:
        history.append(HumanMessage(question))
        history.append(await model.ainvoke(history))
        while calls := history[-1].tool_calls:
            history += [ToolMessage(get_weather(**call["args"]), tool_call_id=call["id"]) for call in calls]
            history.append(await model.ainvoke(history))
        answers.append(str(history[-1].text))
    return answers


async def smolagents() -> list[str]:
    from smolagents import OpenAIServerModel, ToolCallingAgent, tool

    model = OpenAIServerModel("any", api_base=f"{URL}/v1", api_key="none")
    agent = ToolCallingAgent(tools=[tool(get_weather)], model=model, max_steps=3, verbosity_level=0)
    return [agent.run(question, reset=False) for question in QUESTIONS]


AGENTS = {function.__name__: function for function in (openai_agents, pydantic_ai, langchain, smolagents)}
sys.stdout.write(f"{json.dumps(asyncio.run(AGENTS[NAME]()))}\n")
